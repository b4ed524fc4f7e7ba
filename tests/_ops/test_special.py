"""Special functions against numbers of 17 digits from mpmath, and against each other; gradients."""

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau import special
from flambeau._backends.reference import special as reference
from flambeau.autograd import gradcheck

POINTS = [0.1, 0.7, 1.5, 3.0, 7.5, 12.0]  # on both sides of every seam
# fmt: off
GOLDEN = {
    "i0": [
        1.0025015629340956, 1.1263030183068092, 1.646723189772891, 4.8807925858650245, 268.16131151518937,
        18948.92534929631,
    ],
    "i0e": [
        0.9071009257823011, 0.5593055265070683, 0.36743360905415834, 0.2430003541618254, 0.1483158300773955,
        0.11642622121344044,
    ],
    "i1": [
        0.050062526047092694, 0.37187967777700864, 0.9816664285779075, 3.9533702174026093, 249.58436542268814,
        18141.348781638833,
    ],
    "i1e": [
        0.045298446808809324, 0.18466998276274732, 0.21903938742092566, 0.19682671329730084, 0.1380412115485542,
        0.11146429929018098,
    ],
    "bessel_j0": [
        0.99750156206604, 0.8812008886074053, 0.5118276717359181, -0.26005195490193345, 0.2663396578803784,
        0.047689310796833535,
    ],
    "bessel_j1": [
        0.049937526036242, 0.32899574154005895, 0.5579365079100996, 0.3390589585259365, 0.1352484275797055,
        -0.2234471044906276,
    ],
    "bessel_y0": [
        -1.5342386513503667, -0.19066492933739512, 0.38244892379775886, 0.3768500100127904, 0.11731328614820863,
        -0.22523731263436142,
    ],
    "bessel_y1": [
        -6.4589510947020266, -1.1032498719076334, -0.4123086269739113, 0.3246744247918, -0.25912851048611624,
        -0.05709921826089652,
    ],
    "modified_bessel_k0": [
        2.427069024702017, 0.6605198599151016, 0.21380556264752573, 0.03473950438627925, 0.00024917761635611437,
        2.2008253973114916e-06,
    ],
    "modified_bessel_k1": [
        9.853844780870606, 1.050283535312918, 0.2773878004568438, 0.040156431128194184, 0.00026529739012528955,
        2.290757464767188e-06,
    ],
    "scaled_modified_bessel_k0": [
        2.6823261022628944, 1.3301236562420558, 0.9582100532948965, 0.6977615980438517, 0.4505236991049157,
        0.3581948784890782,
    ],
    "scaled_modified_bessel_k1": [
        10.890182683049696, 2.1150113128480523, 1.243165873552553, 0.8065634801287869, 0.4796689337910206,
        0.37283175336970986,
    ],
    "spherical_bessel_j0": [
        0.9983341664682815, 0.9203109817681301, 0.6649966577360363, 0.04704000268662241, 0.12506666356996518,
        -0.04471440983336958,
    ],
    "airy_ai": [
        0.3292031299435381, 0.18916240039815008, 0.07174949700810541, 0.006591139357460719,
        1.9172560675134309e-07, 1.3931846888753607e-13,
    ],
    "erf": [0.1124629160182849, 0.6778011938374184, 0.9661051464753108, 0.9999779095030014, 1.0, 1.0],
    "erfc": [
        0.887537083981715, 0.32219880616258156, 0.033894853524689274, 2.209049699858544e-05,
        2.776649386030569e-26, 1.3562611692059042e-64,
    ],
    "erfcx": [
        0.8964569799691267, 0.525930337349441, 0.3215854164543175, 0.17900115118138996, 0.07457369306287669,
        0.04685422101489376,
    ],
    "log_ndtr": [
        -0.6165050101150263, -0.2770239422771313, -0.06914345561223398, -0.0013508099647481938,
        -3.190891672910947e-14, -1.776482112077679e-33,
    ],
    "ndtr": [0.539827837277029, 0.758036347776927, 0.9331927987311419, 0.9986501019683699, 0.9999999999999681, 1.0],
    "digamma": [
        -10.423754940411076, -1.2200235536979347, 0.03648997397857652, 0.9227843350984671, 1.9467574842460869,
        2.442661679975812,
    ],
    "gammaln": [
        2.252712651734206, 0.2608672465316666, -0.12078223763524522, 0.6931471805599453, 7.534364236758733,
        17.502307845873887,
    ],
    "entr": [
        0.23025850929940458, 0.2496724607571127, -0.6081976621622466, -3.295836866004329, -15.111772654066986,
        -29.818879797456002,
    ],
}
# fmt: on
ODD = {"i1", "i1e", "bessel_j1", "erf"}
EVEN = {"i0", "i0e", "bessel_j0", "spherical_bessel_j0"}


@pytest.mark.parametrize("name", GOLDEN)
def test_values(name):
    function = getattr(special, name)
    exact = function(torch.tensor(POINTS, dtype=torch.float64))
    assert exact.tolist() == pytest.approx(GOLDEN[name], rel=1e-14, abs=2e-16)
    single = function(torch.tensor(POINTS))
    assert single.dtype is torch.float32 and single.tolist() == pytest.approx(GOLDEN[name], rel=2e-6, abs=1e-30)
    assert function(torch.tensor([1, 2])).dtype is torch.float32


@pytest.mark.parametrize("name", sorted(ODD | EVEN))
def test_symmetry(name):
    function, x = getattr(special, name), torch.tensor(POINTS)
    sign = -1 if name in ODD else 1
    assert function(-x).tolist() == (function(x) * sign).tolist()


@pytest.mark.parametrize("name", sorted(set(GOLDEN) - {"airy_ai"}))
def test_derivatives(name):
    x = torch.tensor([0.3, 1.2, 2.6, 8.4], dtype=torch.float64, requires_grad=True)
    assert gradcheck(getattr(special, name), (x,))


def test_inverses_undo_their_functions():
    x = torch.tensor([-0.999999, -0.7, -1e-9, 0.0, 0.3, 0.61, 0.99], dtype=torch.float64)
    assert torch.erf(torch.erfinv(x)).tolist() == pytest.approx(x.tolist(), rel=1e-13)
    p = torch.tensor([1e-300, 1e-20, 0.02, 0.3, 0.5, 0.9, 1 - 1e-12], dtype=torch.float64)
    assert special.ndtr(special.ndtri(p)).tolist() == pytest.approx(p.tolist(), rel=1e-12)
    assert special.ndtri(torch.tensor([0.0, 1.0])).tolist() == [-math.inf, math.inf]
    assert torch.erfinv(torch.tensor([-1.0, 1.0])).tolist() == [-math.inf, math.inf]
    assert torch.erfinv(torch.tensor(1.5)).isnan().item()
    y = torch.tensor([0.2, -0.7], dtype=torch.float64, requires_grad=True)
    assert gradcheck(torch.erfinv, (y,))


def test_left_tails_keep_their_digits():
    x = torch.tensor([-10.0, -30.0], dtype=torch.float64)
    assert special.log_ndtr(x).tolist() == pytest.approx([-53.231285152, -454.3212439955], rel=1e-10)
    assert torch.erfc(-x).tolist() == pytest.approx([2.088487583762545e-45, 0.0], rel=1e-14)


def test_airy_oscillates_on_the_left():
    x = torch.tensor([-3.9, -4.1, -20.0], dtype=torch.float64)
    assert special.airy_ai(x).tolist() == pytest.approx(
        [-0.1474199056407442, 0.009676979518714332, -0.1764061270779847], rel=1e-13
    )
    left, right = special.airy_ai(torch.tensor([-4.0, math.nextafter(-4.0, -5)], dtype=torch.float64)).tolist()
    assert left == pytest.approx(right, rel=1e-13)


def test_incomplete_gamma():
    a = torch.tensor([0.5, 1.0, 3.0, 20.0, 100.0], dtype=torch.float64)
    x = torch.tensor([0.1, 2.0, 2.5, 21.0, 130.0], dtype=torch.float64, requires_grad=True)
    lower, upper = torch.igamma(a, x), torch.igammac(a, x)
    assert lower[:2].tolist() == pytest.approx([math.erf(math.sqrt(0.1)), 1 - math.exp(-2)], rel=1e-14)
    assert (lower + upper).tolist() == pytest.approx([1] * 5, rel=1e-14)
    assert upper[4].item() == pytest.approx(0.002750408367306526, rel=1e-13)
    assert gradcheck(lambda t: torch.igamma(a, t), (x,)) and gradcheck(lambda t: special.gammaincc(a, t), (x,))
    assert torch.igamma(torch.tensor([0.0, 2.0, -1.0]), torch.tensor([1.0, 0.0, 1.0])).tolist()[:2] == [1, 0]
    with pytest.raises(RuntimeError, match="derivative for 'igamma: input' is not implemented"):
        torch.igamma(x, a).sum().backward()


def test_polygamma_and_zeta():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert torch.polygamma(1, x).tolist() == pytest.approx([math.pi**2 / 6, math.pi**2 / 6 - 1], rel=1e-14)
    assert special.zeta(torch.tensor([2.0, 4.0]), 1).tolist() == pytest.approx(
        [math.pi**2 / 6, math.pi**4 / 90], rel=1e-6
    )
    assert special.zeta(torch.tensor(3.0, dtype=torch.float64), -20.3).item() == pytest.approx(-34.41761683, rel=1e-8)
    assert torch.polygamma(0, x).tolist() == torch.digamma(x).tolist()
    assert special.multigammaln(torch.tensor([3.0]), 2).tolist() == pytest.approx([1.5501949939575253], rel=1e-6)
    with pytest.raises(RuntimeError, match="does not support negative n"):
        torch.polygamma(-1, x)
    with pytest.raises(RuntimeError, match="p has to be greater than or equal to 1"):
        torch.mvlgamma(x, 0)


NUMPY_FAMILIES = {
    "chebyshev_polynomial_t": np.polynomial.Chebyshev,
    "hermite_polynomial_h": np.polynomial.Hermite,
    "hermite_polynomial_he": np.polynomial.HermiteE,
    "laguerre_polynomial_l": np.polynomial.Laguerre,
    "legendre_polynomial_p": np.polynomial.Legendre,
}


@pytest.mark.parametrize("name", NUMPY_FAMILIES)
def test_orthogonal_polynomials_like_numpys(name):
    x = np.linspace(-1.5, 1.5, 7)
    for n in range(6):
        result = getattr(special, name)(torch.tensor(x), n)
        assert result.tolist() == pytest.approx(NUMPY_FAMILIES[name].basis(n)(x).tolist(), rel=1e-13, abs=1e-13)
    assert getattr(special, name)(torch.tensor(x), torch.tensor(-1)).tolist() == [0] * 7


@pytest.mark.parametrize(
    "kind, formula",
    [
        ("u", lambda n, t: math.sin((n + 1) * t) / math.sin(t)),
        ("v", lambda n, t: math.cos((n + 0.5) * t) / math.cos(t / 2)),
        ("w", lambda n, t: math.sin((n + 0.5) * t) / math.sin(t / 2)),
    ],
)
def test_chebyshev_polynomials_of_angles(kind, formula):
    degrees = torch.arange(6)
    for t in (0.3, 1.1, 2.7):
        x, expected = math.cos(t), [formula(n, t) for n in range(6)]
        plain = getattr(special, f"chebyshev_polynomial_{kind}")(torch.tensor(x, dtype=torch.float64), degrees.double())
        shifted = getattr(special, f"shifted_chebyshev_polynomial_{kind}")(
            torch.tensor((x + 1) / 2, dtype=torch.float64), degrees.double()
        )
        assert plain.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert shifted.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_single_precision_is_rounded_once(name):
    """What the reference computes for float32 is off by the last rounding and no more."""
    x = np.concatenate([np.linspace(-6, 6, 20_001), np.logspace(-40, -1, 500)]).astype(np.float32)
    found = getattr(reference, name)(x)
    wanted = np.array([getattr(math, name)(float(v)) for v in x])
    normal = np.abs(wanted) > np.finfo(np.float32).tiny
    error = np.abs(found - wanted) / np.spacing(np.abs(wanted).astype(np.float32))
    assert found.dtype == np.float32 and error[normal].max() < 0.502


def test_erf_of_no_number_and_of_infinity():
    for dtype in (np.float32, np.float64):
        found = reference.erf(np.array([-np.inf, -0.0, np.inf, np.nan], dtype))
        assert found[:3].tolist() == [-1, 0, 1] and np.signbit(found[1]) and np.isnan(found[3])


def test_poles_and_infinities():
    inf, x = math.inf, torch.tensor([0.0, -1.0])
    assert special.bessel_y0(x).tolist()[0] == -inf and special.bessel_y0(x)[1].isnan().item()
    assert special.modified_bessel_k1(x).tolist()[0] == inf and special.modified_bessel_k0(x)[1].isnan().item()
    far = torch.tensor([inf])
    for name in ("bessel_j0", "bessel_y1", "i0e", "erfcx", "erfc", "modified_bessel_k0", "spherical_bessel_j0"):
        assert getattr(special, name)(far).tolist() == [0.0], name
    assert torch.lgamma(torch.tensor([0.0, -1.0])).tolist() == [inf, inf]
    assert special.entr(torch.tensor([0.0, -1.0])).tolist() == [0.0, -inf]
    assert special.xlog1py(torch.tensor([0.0]), torch.tensor([-1.0])).tolist() == [0.0]

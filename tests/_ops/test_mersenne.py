"""The generator: its stream, its state in PyTorch's layout, what a seed may be."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from flambeau._ops import mersenne
from flambeau._ops.mersenne import MersenneTwister

# The first outputs of mt19937ar.c with init_genrand(5489), and its 10,000th, which the C++ standard (26.6.6) fixes.
FIRST = [3499211612, 581869302, 3890346734, 3586334585, 545404204]
TEN_THOUSANDTH = 4123659995

# SHA-256 (first half) of torch.get_rng_state() of PyTorch 2.13 after manual_seed(seed) and torch.rand(n).
STATES = [
    (0, 0, "1ccf17250133dec5e96478acd63e13d7"),
    (0, 1, "aaf8baabbbcc40c8dcc2ff8c5ab22a47"),
    (7, 623, "41f3111f4dcf003660a0ab04b07a7e88"),
    (7, 624, "5fb8e6083bf899e5d5007a134e399349"),
    (7, 625, "e8f8ab7285a3d808bc0a5555948b5353"),
    (-5, 3, "466413d4f9bd265fcc2919d21a965e33"),
    (2**64 - 1, 3, "a387a2249ed52b0afca2cd8081ea9a37"),
    (2**40 + 3, 10000, "7e20ba9f4330d3c4f2478444b7a3c452"),
]


def test_the_reference_stream() -> None:
    stream = MersenneTwister(5489).random32(10_000)
    assert stream[:5].tolist() == FIRST
    assert stream[-1] == TEN_THOUSANDTH


def test_words_of_64_bits_take_the_high_half_first() -> None:
    expected = [FIRST[0] << 32 | FIRST[1], FIRST[2] << 32 | FIRST[3]]
    assert MersenneTwister(5489).random64(2).tolist() == expected


@pytest.mark.parametrize("cuts", [[1, 1, 1, 1], [0, 3, 1], [2, 0, 2]])
def test_the_stream_does_not_depend_on_how_it_is_cut(cuts: list[int]) -> None:
    gen = MersenneTwister(5489)
    assert np.concatenate([gen.random32(n) for n in cuts]).tolist() == FIRST[:4]
    gen.seed(5489)
    gen.skip(3)
    assert gen.random32(1).tolist() == FIRST[3:4]


@pytest.mark.parametrize(("seed", "drawn", "digest"), STATES)
def test_the_state_has_pytorchs_bytes(seed: int, drawn: int, digest: str) -> None:
    gen = MersenneTwister(seed)
    gen.random32(drawn)
    assert hashlib.sha256(gen.get_state()).hexdigest()[:32] == digest


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625])
def test_a_state_continues_the_stream(drawn: int) -> None:
    gen = MersenneTwister(11)
    gen.random32(drawn)
    gen.next_double_normal, gen.next_float_normal = -0.25, 0.5
    state, twin, other = gen.get_state(), gen.clone(), MersenneTwister()
    other.set_state(np.frombuffer(state, np.uint8))
    expected = gen.random32(1000).tolist()
    for g in (twin, other):
        assert (g.get_state(), g.initial_seed, g.next_double_normal, g.next_float_normal) == (state, 11, -0.25, 0.5)
        assert g.random32(1000).tolist() == expected


def test_seeding_forgets_the_kept_normal_value() -> None:
    gen = MersenneTwister(1)
    gen.next_double_normal = 0.5
    gen.seed(1)
    assert gen.get_state() == MersenneTwister(1).get_state()


@pytest.mark.parametrize(
    ("seed", "initial"), [(-1, 2**64 - 1), (-(2**63), 2**63), (2**64 - 1, 2**64 - 1), (3.7, 3), (True, 1)]
)
def test_seeds_are_taken_modulo_2_to_the_64(seed: int, initial: int) -> None:
    assert MersenneTwister(seed).initial_seed == initial


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        MersenneTwister(seed)


def test_only_the_low_half_of_a_seed_chooses_the_stream() -> None:
    a, b = MersenneTwister(2**32 + 7), MersenneTwister(7)
    assert a.random32(5).tolist() == b.random32(5).tolist()
    assert a.initial_seed != b.initial_seed


def test_wrong_states() -> None:
    with pytest.raises(RuntimeError, match="of size 5056 but found the input RNG state size to be 3"):
        MersenneTwister().set_state(b"abc")
    with pytest.raises(RuntimeError, match="Invalid mt19937 state: left=0"):
        MersenneTwister().set_state(bytes(mersenne.LAYOUT.size))


@pytest.mark.oracle
@pytest.mark.parametrize("seed", [0, -1, 2**63, 12345])
@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 2000])
def test_states_travel_to_pytorch_and_back(seed: int, drawn: int) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    gen = MersenneTwister(seed)
    assert gen.initial_seed == torch.initial_seed()
    torch.rand(drawn)
    gen.random32(drawn)
    assert gen.get_state() == torch.get_rng_state().numpy().tobytes()
    torch.set_rng_state(torch.frombuffer(bytearray(gen.get_state()), dtype=torch.uint8))
    assert torch.randint(0, 2**20, (50,)).tolist() == (gen.random32(50) % 2**20).tolist()


def test_numpy_draws_until_a_kernel_is_worth_its_while(monkeypatch) -> None:
    """Kernels are asked for late, and the stream goes on as if there were none."""
    asked = []

    def fill(kind, bits, out, a, b):
        asked.append(out.size)
        return False

    monkeypatch.setattr(mersenne, "native", SimpleNamespace(fill=fill))
    monkeypatch.setattr(mersenne, "_spent", mersenne._Spent())
    enough = mersenne.WORTH_A_KERNEL // mersenne.BY_NUMPY["uniform"]
    out = np.empty(enough // 4, np.float32)
    generator = MersenneTwister(3)
    assert not any([generator.fill("uniform", out, 0.0, 1.0) for _ in range(4)]) and not asked
    generator.fill("normal", out[: mersenne.WORTH_A_CALL], 0.0, 1.0)
    assert not asked  # each kind has a kernel of its own
    generator.fill("uniform", out, 0.0, 1.0)
    assert asked == [out.size]

"""Random tensors: generators, seeds, and the functions and in-place methods that draw.

Draws happen when they are called, not when the window runs, so that the generator's state is always the present one.
After the same seed they are PyTorch's numbers on the CPU (see docs/randomness.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flambeau._core import device as devices
from flambeau._core import dtypes, errors, keywords, locks
from flambeau._core.dtypes import dtype as dtype_class
from flambeau._core.lazy import lazy_module
from flambeau._engine.memory import reuse_pages
from flambeau._engine.window import state
from flambeau._ir.meta import Meta, contiguous
from flambeau._ir.recording import TensorBase
from flambeau._ops import draws, draws_normal, draws_rejection, fill, mersenne
from flambeau._ops.arguments import tensor_first
from flambeau._ops.drawn import gamma_drawn
from flambeau._ops.mersenne import MersenneTwister
from flambeau._ops.outs import OutRule, write_out
from flambeau._ops.view import sizes
from flambeau._tensor import creation, dispatch, interop
from flambeau._tensor.creation import chosen_dtype, finish

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_module("numpy")

mersenne.native = lazy_module("flambeau._backends.cpu.random_fill")
COMPLEX_PARTS = {"complex64": "float32", "complex128": "float64"}


class Generator:
    """A source of random numbers: the Mersenne Twister with PyTorch's seeding. One may be shared by threads.

    Example::

        >>> import flambeau as torch
        >>> g = torch.Generator().manual_seed(42)
        >>> torch.rand(2, generator=g)
        tensor([0.8823, 0.9150])
    """

    def __init__(self, device: Any = "cpu") -> None:
        devices.resolve(device)
        self._twister = MersenneTwister()

    @property
    def device(self) -> devices.device:
        """Where the numbers are drawn: the CPU."""
        return devices.cpu

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from `seed` (-2**63 to 2**64 - 1; ValueError outside); returns the generator."""
        with locks.drawing:
            try:
                self._twister.seed(int(seed))
            except ValueError as error:
                raise RuntimeError(f"Overflow when unpacking long long: {error}") from None
        return self

    def seed(self) -> int:
        """Start anew from a seed taken from the operating system, which is returned."""
        fresh = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(fresh)
        return fresh

    def initial_seed(self) -> int:
        """The seed last started from."""
        return self._twister.initial_seed

    def get_state(self) -> Any:
        """The state as a uint8 tensor, laid out as PyTorch's."""
        with locks.drawing:
            state = np.frombuffer(self._twister.get_state(), np.uint8).copy()
        return dispatch.from_flat(state, contiguous(dtypes.uint8, state.shape))

    def set_state(self, new_state: Any) -> Generator:
        """Go on from a state that `get_state` returned."""
        if not isinstance(new_state, TensorBase) or new_state._meta.dtype is not dtypes.uint8:
            raise TypeError("expected a torch.ByteTensor, as get_state() returns it")
        with locks.drawing:
            self._twister.set_state(interop.array(new_state).tobytes())
        return self

    def clone_state(self) -> Generator:
        """Another generator in the same state."""
        other = Generator()
        other._twister = self._twister.clone()
        return other

    def __getstate__(self) -> bytes:
        return self._twister.get_state()

    def __setstate__(self, state: bytes) -> None:
        self.__init__()  # type: ignore[misc]
        self._twister.set_state(state)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator; returns it.

    Example::

        >>> import flambeau as torch
        >>> _ = torch.manual_seed(42)
        >>> torch.randn(3)
        tensor([0.3367, 0.1288, 0.2345])
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system; returns the seed.

    Example::

        >>> isinstance(seed(), int)
        True
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator last started from.

    Example::

        >>> import flambeau as torch
        >>> _ = torch.manual_seed(7)
        >>> torch.initial_seed()
        7
    """
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The state of the default generator, a uint8 tensor.

    Example::

        >>> get_rng_state().shape
        torch.Size([5056])
    """
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Set the state of the default generator.

    Example::

        >>> set_rng_state(get_rng_state())
    """
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **_: Any) -> Iterator[None]:
    """Whatever is drawn inside, the default generator goes on afterwards as if nothing had been.

    Example::

        >>> import flambeau as torch
        >>> _ = torch.manual_seed(0)
        >>> with fork_rng():
        ...     _ = torch.rand(10)
        >>> torch.rand(1)
        tensor([0.4963])
    """
    before = default_generator.get_state() if enabled else None
    try:
        yield
    finally:
        if before is not None:
            default_generator.set_state(before)


# ---------------------------------------------------------------------------------------------- drawing


def draw(function: Callable[..., np.ndarray], generator: Generator | None, *args: Any, **kwargs: Any) -> np.ndarray:
    """Call a drawing function with the generator's engine, one thread at a time."""
    source = default_generator if generator is None else generator
    if not isinstance(source, Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(source).__name__}")
    reuse_pages()
    with locks.drawing:
        array = function(source._twister, *args, **kwargs)
    state.window.drawn(array, function, source, args, kwargs)
    return array


def wrap(array: np.ndarray, shape: Any, d: dtype_class) -> Any:
    """A tensor of `shape` over freshly drawn numbers."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return dispatch.from_flat(flat if flat.dtype == d.numpy else flat.astype(d.numpy), contiguous(d, shape))


KEYWORDS = creation.CONSTANT | {"generator"}


def _create(
    name: str, size: tuple, kwargs: dict[str, Any], default: dtype_class | None = None
) -> tuple[tuple[int, ...], dtype_class, Any]:
    """(shape, dtype, generator) from the arguments of the function `name`, like `rand`."""
    keywords.check(name, kwargs, KEYWORDS)
    if "size" in kwargs:
        size = (kwargs.pop("size"),)
    d = chosen_dtype(name, kwargs.get("dtype"), kwargs.get("out"), default or dtypes.get_default_dtype())
    shape = sizes(size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape, d, kwargs.get("generator")


def _finished(name: str, t: Any, kwargs: dict[str, Any]) -> Any:
    return finish(t, kwargs.get("requires_grad", False), kwargs.get("device"), kwargs.get("out"), name)


def _count(shape: tuple[int, ...]) -> int:
    return contiguous(dtypes.uint8, shape).numel


def _uniform(shape: tuple[int, ...], d: dtype_class, generator: Any, low: float = 0.0, high: float = 1.0) -> Any:
    if d.is_complex:
        parts = draw(draws.uniform, generator, 2 * _count(shape), low, high, COMPLEX_PARTS[d.name])
        return wrap(parts.view(d.numpy), shape, d)
    return wrap(draw(draws.uniform, generator, _count(shape), low, high, d.name), shape, d)


def _normal(
    shape: tuple[int, ...], d: dtype_class, generator: Any, mean: float = 0.0, std: float = 1.0, dense: bool = True
) -> Any:
    return wrap(draw(draws_normal.normal, generator, _count(shape), mean, std, d.name, contiguous=dense), shape, d)


def rand(*size: Any, **kwargs: Any) -> Any:
    """Numbers evenly distributed over [0, 1); keywords `generator`, `dtype`, `device`, `requires_grad`, `out`.

    Example::

        >>> import flambeau as torch
        >>> _ = torch.manual_seed(0)
        >>> torch.rand(2)
        tensor([0.4963, 0.7682])
    """
    shape, d, generator = _create("rand", size, kwargs)
    return _finished("rand", _uniform(shape, d, generator), kwargs)


def randn(*size: Any, **kwargs: Any) -> Any:
    """Numbers of the normal distribution with mean 0 and variance 1 (Box & Muller 1958); keywords as `rand`.

    Example::

        >>> import flambeau as torch
        >>> _ = torch.manual_seed(42)
        >>> torch.randn(3, 3)
        tensor([[ 0.3367,  0.1288,  0.2345],
                [ 0.2303, -1.1229, -0.1863],
                [ 2.2082, -0.6380,  0.4617]])
    """
    shape, d, generator = _create("randn", size, kwargs)
    return _finished("randn", _normal(shape, d, generator), kwargs)


def randint(*args: Any, low: int | None = None, high: int | None = None, **kwargs: Any) -> Any:
    """`randint(high, size)` or `randint(low, high, size)`: integers evenly distributed over [low, high).

    Example::

        >>> import flambeau as torch
        >>> _ = torch.manual_seed(0)
        >>> torch.randint(10, (3,))
        tensor([4, 9, 3])
    """
    given = [a.item() if isinstance(a, TensorBase) else a for a in args]
    if "size" in kwargs:
        given.append(kwargs.pop("size"))
    size = given.pop() if given else None
    if not isinstance(size, (tuple, list)) or not given and high is None:
        hint = "the last is the size, a tuple: torch.randint(10, (3,)), torch.randint(0, 10, (2, 3))"
        raise TypeError(errors.explain("randint() takes (high, size) or (low, high, size)", hint=hint))
    if high is None:
        high = given.pop()
    if low is None:
        low = given.pop() if given else 0
    shape, d, generator = _create("randint", (size,), kwargs, dtypes.int64)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _finished(
        "randint", wrap(draw(draws.randint, generator, _count(shape), low, high, d.name), shape, d), kwargs
    )


def randperm(n: int, **kwargs: Any) -> Any:
    """The integers 0 to n - 1 in random order; keywords as `rand`, `dtype` int64 by default.

    Example::

        >>> import flambeau as torch
        >>> _ = torch.manual_seed(0)
        >>> torch.randperm(4)
        tensor([0, 1, 3, 2])
    """
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    shape, d, generator = _create("randperm", (n,), kwargs, dtypes.int64)
    return _finished("randperm", wrap(draw(draws.randperm, generator, n, d.name), shape, d), kwargs)


def _drawn_like(name: str, input: Any, kwargs: dict[str, Any], method: str, *bounds: Any) -> Any:
    """A tensor with the layout of `input` (and its dtype unless given), filled by an in-place method."""
    generator, requires_grad = kwargs.pop("generator", None), kwargs.pop("requires_grad", False)
    empty = creation.like(name, input, 0, kwargs)
    return finish(getattr(empty, method)(*bounds, generator=generator), requires_grad)


@tensor_first
def rand_like(input: Any, **kwargs: Any) -> Any:
    """`rand` with the shape and dtype of `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.rand_like(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """
    return _drawn_like("rand_like", input, kwargs, "uniform_")


@tensor_first
def randn_like(input: Any, **kwargs: Any) -> Any:
    """`randn` with the shape and dtype of `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.randn_like(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """
    return _drawn_like("randn_like", input, kwargs, "normal_")


@tensor_first
def randint_like(input: Any, *args: Any, low: int | None = None, high: int | None = None, **kwargs: Any) -> Any:
    """`randint` with the shape and dtype of `input`.

    Example::

        >>> import flambeau as torch
        >>> torch.randint_like(torch.zeros(2), 5).dtype
        torch.float32
    """
    given = [a.item() if isinstance(a, TensorBase) else a for a in args]
    high = given.pop() if high is None else high
    low = (given.pop() if given else 0) if low is None else low
    return _drawn_like("randint_like", input, kwargs, "random_", low, high)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, **kwargs: Any) -> Any:
    """Normal numbers with these means and standard deviations: tensors, or numbers together with `size`.

    Example::

        >>> import flambeau as torch
        >>> torch.normal(torch.zeros(3), 1.).shape
        torch.Size([3])
    """
    if not isinstance(mean, TensorBase) and not isinstance(std, TensorBase):
        if size is None:
            raise TypeError("normal() with numbers for mean and std needs size")
        shape, d, generator = _create("normal", (size,), kwargs)
        return _finished("normal", _normal(shape, d, generator, mean, std), kwargs)
    like: Any = mean if isinstance(mean, TensorBase) else std
    if isinstance(mean, TensorBase) and isinstance(std, TensorBase):
        template = mean + std
    else:
        template = like
    means = interop.array(mean) if isinstance(mean, TensorBase) else mean
    deviations = interop.array(std) if isinstance(std, TensorBase) else std
    means = np.broadcast_to(means, tuple(template.shape))
    deviations = np.broadcast_to(deviations, tuple(template.shape))
    drawn = draw(draws_normal.normal_like, kwargs.get("generator"), means, deviations, template.dtype.name)
    return _finished("normal", wrap(drawn, template.shape, template.dtype), kwargs)


@tensor_first
def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None, out: Any = None) -> Any:
    """0 or 1 for each element, 1 with the probability that `input` holds there (or `p` everywhere).

    Example::

        >>> import flambeau as torch
        >>> torch.bernoulli(torch.ones(2))
        tensor([1., 1.])
    """
    if p is not None:
        drawn = draw(draws.bernoulli_scalar, generator, input.numel(), p, input.dtype.name)
    else:
        if input.dtype.category != dtypes.FLOAT:
            raise RuntimeError(f"bernoulli expects floating-point probabilities, got {input.dtype}")
        drawn = draw(draws.bernoulli, generator, interop.array(input).reshape(-1), input.dtype.name)
    result = wrap(drawn, input.shape, input.dtype)
    result = fill.insensitive(result, input) if input.requires_grad else result
    if isinstance(out, TensorBase):
        return write_out("bernoulli", out, result.to(out.dtype), OutRule(overlap="same", warns=False), (input,))
    return finish(result, False, out=out, name="bernoulli")


@tensor_first
def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None, out: Any = None
) -> Any:
    """Positions drawn from each row of weights `input` ([n] or [rows, n]) in proportion to them; int64 [rows,
    num_samples].

    Example::

        >>> import flambeau as torch
        >>> torch.multinomial(torch.tensor([0., 1.]), 2, replacement=True)
        tensor([1, 1])
    """
    drawn = draw(draws.multinomial, generator, interop.array(input), num_samples, replacement)
    return _finished("multinomial", wrap(drawn, drawn.shape, dtypes.int64), {"out": out})


def poisson(input: Any, generator: Generator | None = None) -> Any:
    """Poisson numbers with the rates that `input` holds.

    Example::

        >>> import flambeau as torch
        >>> torch.poisson(torch.zeros(2))
        tensor([0., 0.])
    """
    return wrap(draw(draws_rejection.poisson, generator, interop.array(input)), input.shape, input.dtype)


def binomial(count: Any, prob: Any, generator: Generator | None = None) -> Any:
    """Binomial numbers: how many of `count` trials succeed, each with probability `prob`.

    Example::

        >>> import flambeau as torch
        >>> torch.binomial(torch.tensor([10.]), torch.tensor([1.]))
        tensor([10.])
    """
    counts, probs = np.broadcast_arrays(interop.array(count), interop.array(prob))
    return wrap(draw(draws_rejection.binomial, generator, counts, probs), counts.shape, count.dtype)


def _standard_gamma(input: Any, generator: Generator | None = None) -> Any:
    """Gamma numbers of the shapes that `input` holds and scale 1, with gradients by the shapes.

    Example::

        >>> import flambeau as torch
        >>> torch._standard_gamma(torch.tensor([3.])).shape
        torch.Size([1])
    """
    drawn = wrap(draw(draws_rejection.standard_gamma, generator, interop.array(input)), input.shape, input.dtype)
    return gamma_drawn(drawn, input) if input.requires_grad else drawn


def _sample_dirichlet(input: Any, generator: Generator | None = None) -> Any:
    """Points of the simplex along the last dimension, Dirichlet-distributed with the concentrations `input`, with
    gradients by them.

    Example::

        >>> import flambeau as torch
        >>> torch._sample_dirichlet(torch.tensor([1., 2.])).sum()
        tensor(1.)
    """
    if not input.requires_grad:
        return wrap(draw(draws_rejection.dirichlet, generator, interop.array(input)), input.shape, input.dtype)
    parts = _standard_gamma(input.double(), generator)
    return (parts / parts.sum(-1, True)).to(input.dtype)


# ---------------------------------------------------------------------------------------------- in-place methods


def memory_order(m: Meta) -> list[int]:
    """The dimensions from slowest to fastest in memory."""
    return list(range(m.ndim)) if m.is_contiguous else sorted(range(m.ndim), key=lambda i: -m.strides[i])


def _fill(self: Any, drawn: Any) -> Any:
    """Write freshly drawn numbers in the order in which elements lie in memory: PyTorch fills a transposed tensor as it
    fills the original."""
    if not self._meta.is_contiguous:
        order = memory_order(self._meta)
        drawn = drawn.reshape([self.shape[i] for i in order]).permute([order.index(i) for i in range(len(order))])
    return dispatch.assign(self, drawn)


def uniform_(
    self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None, **kwargs: Any
) -> Any:
    """Fill with numbers evenly distributed over [from, to)."""
    low = kwargs.pop("from", kwargs.pop("a", from_))
    dispatch.check_writable(self)
    if not self.dtype.is_complex:
        draws.check_uniform(low, to, self.dtype.name)
    return _fill(self, _uniform(tuple(self.shape), self.dtype, generator, low, to))


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Fill with normal numbers."""
    dispatch.check_writable(self)
    return _fill(self, _normal(tuple(self.shape), self.dtype, generator, mean, std, self._meta.is_contiguous))


def random_(
    self: Any, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None, **kwargs: Any
) -> Any:
    """Fill with integers over [from, to), [0, to), or everything the dtype holds exactly."""
    low = kwargs.pop("from", from_)
    dispatch.check_writable(self)
    if low is not None and to is None and "from" not in kwargs and from_ is not None:
        low, to = 0, low
    if to is None:
        drawn = draw(draws.random_, generator, self.numel(), self.dtype.name, low)
    else:
        low = 0 if low is None else low
        if low >= to:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={to}")
        drawn = draw(draws.randint, generator, self.numel(), low, to, self.dtype.name)
    return _fill(self, wrap(drawn, self.shape, self.dtype))


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
    """Fill with 0 and 1, 1 with probability `p` (a number or a tensor)."""
    dispatch.check_writable(self)
    if isinstance(p, TensorBase):
        probabilities = np.broadcast_to(interop.array(p), tuple(self.shape)).transpose(memory_order(self._meta))
        drawn = draw(draws.bernoulli, generator, probabilities.reshape(-1), self.dtype.name)
    else:
        drawn = draw(draws.bernoulli_scalar, generator, self.numel(), p, self.dtype.name)
    return _fill(self, wrap(drawn, self.shape, self.dtype))


def _distribution(name: str, function: Callable, doc: str, **defaults: Any) -> Callable:
    """An in-place method that fills with `function`'s draws."""

    def method(self: Any, *args: Any, generator: Generator | None = None, **kwargs: Any) -> Any:
        dispatch.check_writable(self)
        values = {**dict(zip(defaults, args, strict=False)), **kwargs}
        parameters = [values.get(k, v) for k, v in defaults.items()]
        return _fill(
            self, wrap(draw(function, generator, self.numel(), *parameters, self.dtype.name), self.shape, self.dtype)
        )

    method.__name__ = method.__qualname__ = name
    method.__doc__ = doc
    return method


METHODS: dict[str, Any] = {
    "uniform_": uniform_,
    "normal_": normal_,
    "random_": random_,
    "bernoulli_": bernoulli_,
    "bernoulli": bernoulli,
    "multinomial": multinomial,
    "exponential_": _distribution(
        "exponential_", draws.exponential, "Fill with exponential numbers of rate `lambd`.", lambd=1.0
    ),
    "cauchy_": _distribution("cauchy_", draws.cauchy, "Fill with Cauchy numbers.", median=0.0, sigma=1.0),
    "log_normal_": _distribution(
        "log_normal_", draws_normal.log_normal, "Fill with log-normal numbers.", mean=1.0, std=2.0
    ),
    "geometric_": _distribution(
        "geometric_", draws.geometric, "Fill with geometric numbers: trials up to the first success.", p=0.5
    ),
}

def thread_safe_generator() -> Generator | None:
    """The generator of the DataLoader's worker thread that asks; None, for the default one, elsewhere. Workers are
    processes here, each with a default generator of its own, so it is always None.

    Example::

        >>> print(thread_safe_generator())
        None
    """
    return None


FUNCTIONS = (
    thread_safe_generator,
    bernoulli,
    binomial,
    get_rng_state,
    initial_seed,
    manual_seed,
    multinomial,
    normal,
    poisson,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)

"""What all data pipes have: methods that put another pipe behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeVar

from flambeau._core.homes import absent
from flambeau.utils.data.dataset import Dataset, IterableDataset

T = TypeVar("T")


class _Pipe:
    """The register of methods, one for pipes that are iterated and one for those that are indexed."""

    functions: ClassVar[dict[str, Callable]]

    @classmethod
    def register_function(cls, function_name: str, function: Callable) -> None:
        """Make `pipe.name(...)` mean `function(pipe, ...)`. Exception if the name is taken."""
        if function_name in cls.functions:
            raise Exception(f"Unable to add DataPipe function name {function_name} as it is already taken")
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(
        cls, function_name: str, cls_to_register: type, enable_df_api_tracing: bool = False
    ) -> None:
        """Make `pipe.name(...)` mean `cls_to_register(pipe, ...)`."""
        cls.register_function(function_name, cls_to_register)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).functions:
            return partial(type(self).functions[name], self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return type(self).__qualname__


class IterDataPipe(_Pipe, IterableDataset):
    """A data set that is iterated, and that other pipes can take: a subclass has `__iter__`, and for each registered
    pipe there is a method.

    Example::

        >>> from flambeau.utils.data.datapipes.iter import IterableWrapper
        >>> list(IterableWrapper(range(6)).map(lambda x: x * 2).filter(lambda x: x > 2).batch(2))
        [[4, 6], [8, 10]]
    """

    functions: ClassVar[dict[str, Callable]] = {}


class MapDataPipe(_Pipe, Dataset):
    """A data set that is indexed, and that other pipes can take: a subclass has `__getitem__` and `__len__`, and for
    each registered pipe there is a method.

    Example::

        >>> from flambeau.utils.data.datapipes.map import SequenceWrapper
        >>> SequenceWrapper([1, 2, 3]).map(lambda x: x * 2)[1]
        4
    """

    functions: ClassVar[dict[str, Callable]] = {}

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say what stands at an index: give it __getitem__")


class DataChunk(list[T]):
    """A list of items that belong together, such as a batch."""

    def __init__(self, items: Any) -> None:
        super().__init__(items)
        self.items = items

    def as_str(self, indent: str = "") -> str:
        """The items in brackets."""
        return indent + "[" + ", ".join(str(item) for item in self) + "]"

    def raw_iterator(self) -> Any:
        """The items as they are."""
        return super().__iter__()


class InBatches:
    """A pipe, iterated or indexed, of lists of `batch_size` items; the last may be shorter, or with `drop_last` is left
    out."""

    def __init__(
        self, datapipe: Any, batch_size: int, drop_last: bool = False, wrapper_class: type = DataChunk
    ) -> None:
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        self.datapipe, self.batch_size = datapipe, batch_size
        self.drop_last, self.wrapper_class = drop_last, wrapper_class

    def __len__(self) -> int:
        whole, rest = divmod(len(self.datapipe), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)


class Several:
    """A pipe, iterated or indexed, that takes several others."""

    def __init__(self, *datapipes: Any) -> None:
        if not datapipes:
            raise ValueError(f"Expected at least one DataPipe for {type(self).__name__}, but got nothing")
        self.datapipes = datapipes


# ---------------------------------------------------------------------------------------------- decorators


class functional_datapipe:  # noqa: N801 (PyTorch's name)
    """A decorator for classes of pipes: they can be called as a method of this name.

    Example::

        >>> @functional_datapipe("doubled")
        ... class Doubled(IterDataPipe):
        ...     def __init__(self, source):
        ...         self.source = source
        ...     def __iter__(self):
        ...         return (2 * x for x in self.source)
        >>> from flambeau.utils.data.datapipes.iter import IterableWrapper
        >>> list(IterableWrapper([1, 2]).doubled())
        [2, 4]
        >>> del IterDataPipe.functions["doubled"]
    """

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name

    def __call__(self, cls: type) -> type:
        if not issubclass(cls, _Pipe):
            raise TypeError("`functional_datapipe` can only decorate IterDataPipe or MapDataPipe")
        (IterDataPipe if issubclass(cls, IterDataPipe) else MapDataPipe).register_datapipe_as_function(self.name, cls)
        return cls


class _Determinism:
    guaranteed = False


class guaranteed_datapipes_determinism:  # noqa: N801 (PyTorch's name)
    """A context in which pipes that were marked `non_deterministic` cannot be made."""

    def __init__(self) -> None:
        self.before = _Determinism.guaranteed

    def __enter__(self) -> None:
        _Determinism.guaranteed = True

    def __exit__(self, *error: object) -> None:
        _Determinism.guaranteed = self.before


class non_deterministic:  # noqa: N801 (PyTorch's name)
    """A decorator for classes of pipes whose order is not determined, always or, of `non_deterministic(function)`, for
    arguments for which the function says so: TypeError when one is made under `guaranteed_datapipes_determinism`.

    Example::

        >>> @non_deterministic
        ... class Arriving(IterDataPipe):
        ...     def __iter__(self):
        ...         return iter([])
        >>> with guaranteed_datapipes_determinism():
        ...     Arriving()
        Traceback (most recent call last):
            ...
        TypeError: Arriving is non-deterministic, but you set 'guaranteed_datapipes_determinism'...
    """

    def __new__(cls, arg: Any) -> Any:
        if isinstance(arg, type):
            return cls._guarded(arg, lambda *args, **kwargs: True)
        made = super().__new__(cls)
        made.says = arg
        return made

    says: Callable[..., bool]

    def __call__(self, cls: type) -> type:
        return self._guarded(cls, self.says)

    @staticmethod
    def _guarded(kind: Any, says: Callable[..., bool]) -> Any:
        if not issubclass(kind, IterDataPipe):
            raise TypeError(f"Only `IterDataPipe` can be decorated with `non_deterministic`, but {kind} is found")
        make = kind.__init__

        def make_if_allowed(self: Any, *args: Any, **kwargs: Any) -> None:
            if _Determinism.guaranteed and says(*args, **kwargs):
                raise TypeError(
                    f"{kind.__name__} is non-deterministic, but you set 'guaranteed_datapipes_determinism'. "
                    "You can turn off determinism for this DataPipe if that is acceptable for your application"
                )
            make(self, *args, **kwargs)

        kind.__init__ = make_if_allowed
        return kind


__getattr__ = absent("torch.utils.data.datapipes.datapipe")

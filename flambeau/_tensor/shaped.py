"""Valued tensors that have a layout, and whose values can be written in place: nested and masked ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from flambeau._tensor import dispatch, random
from flambeau._tensor.tensor import Tensor
from flambeau._tensor.valued import Valued


class Shaped(Valued):
    """A valued tensor that has a layout (`_meta`), as composed operations ask for it, and whose values can be written.
    It keeps no memory itself: what asks for that is refused."""

    @property
    def _storage(self) -> NoReturn:  # type: ignore[override]
        """AttributeError, by which operations know that this is another operand."""
        raise AttributeError(
            f"a {type(self).__name__} has no memory of its own, and this is about the memory of a tensor\n"
            "  hint: take the dense tensors that it is made of: values() of a nested one, get_data() of a masked one"
        )

    def alias(self) -> Any:
        """The values as a tensor that is no leaf, for users to compute with."""
        return self._value.expand(self._value.shape) if self._value.requires_grad else self._value

    def like(self, make: Callable[[Any], Any]) -> Any:
        """What `make` makes of the values, in the same places."""
        return self.with_values(make(self._value.detach()))

    def apply_function(self, function: Any, args: tuple) -> Any:
        """NotImplementedError: custom functions compute with dense tensors."""
        raise NotImplementedError(
            f"{function.__name__} was applied to a {type(self).__name__}\n"
            "  hint: apply it to what that is made of, values() of a nested tensor or get_data() of a masked one"
        )

    def original(self, args: tuple) -> Any:
        """The present values, where backward needs them later."""
        others = tuple([a._value if isinstance(a, Shaped) else a for a in args])
        return self.with_values(dispatch.original(self._value, others))

    def write(self, target: Any, result: Any) -> Any:
        """The end of an in-place operation: the values are written; RuntimeError for a target of another kind."""
        if type(target) is not type(result):
            raise RuntimeError(f"a {type(result).__name__} cannot be written into a {type(target).__name__}")
        target.check_same_places(result)
        dispatch.assign(target._value, result._value)
        return target

    def __bool__(self) -> bool:
        return bool(self._value)

    def _number(self, *error: Any) -> Any:
        return self._value._number(*error)

    def check_same_places(self, other: Any) -> None:
        """RuntimeError unless the values of `other` stand where the values of this one do."""
        raise NotImplementedError

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Write the values of `src`, which has the same kind and the same places."""
        return self.write(self, src.to(self.dtype))


def _on_values(name: str, method: Callable) -> Callable:
    """The in-place method of a tensor for the values."""

    def change(self: Shaped, *args: Any, **kwargs: Any) -> Any:
        getattr(self._value, name)(*args, **kwargs)
        return self

    change.__name__ = change.__qualname__ = name
    change.__doc__ = method.__doc__
    return change


for _name in ("fill_", "zero_", *[name for name in random.METHODS if name.endswith("_")]):
    setattr(Shaped, _name, _on_values(_name, getattr(Tensor, _name, None) or random.METHODS[_name]))

"""The functions that a checkpoint may call to make its tensors, parameters and small things again.

The arguments come from a file and may be anything; TypeError and ValueError tell the reader that they make no sense.
"""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau import nn
from flambeau._core import formats
from flambeau._core.dtypes import dtype
from flambeau._tensor.interop import TypedStorage, UntypedStorage
from flambeau._tensor.sparse import Sparse
from flambeau.serialization.memory import tensor_over


def tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> torch.Tensor:
    """A tensor over a typed storage."""
    expect(storage, TypedStorage)
    return tensor_of_dtype(storage, offset, size, stride, requires_grad, hooks, storage.dtype, metadata)


def tensor_of_dtype(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, d: Any, metadata: Any = None
) -> torch.Tensor:
    """A tensor over any storage; `metadata` tells whether PyTorch postponed a conjugation or a change of sign."""
    expect(storage, UntypedStorage)
    expect(d, dtype)
    size, stride = tuple(expect(size, (tuple, list))), tuple(expect(stride, (tuple, list)))
    result: Any = tensor_over(torch.Tensor, storage, d, offset, size, stride)
    if metadata:
        # Of the whole storage: a layout can repeat it many times over.
        whole: Any = tensor_over(torch.Tensor, storage, d, 0, (storage.nbytes() // d.itemsize,), (1,))
        whole = whole.conj() if expect(metadata, dict).get("conj") else whole
        result = (-whole if metadata.get("neg") else whole).as_strided(size, stride, offset)
    return result.requires_grad_() if requires_grad else result


def sparse_tensor(layout_: Any, data: Any) -> Sparse:
    """A sparse tensor: of (indices, values, size) or (indices, values, size, is_coalesced) in coordinate form, of
    (compressed indices, plain indices, values, size) in the other layouts."""
    if layout_ is not torch.sparse_coo:
        compressed, plain, values, size = data
        for part in (compressed, plain, values):
            expect(part, torch.Tensor)
        return torch.sparse_compressed_tensor(compressed, plain, values, tuple(size), layout=layout_)
    indices, values, size, *coalesced = data
    expect(indices, torch.Tensor)
    expect(values, torch.Tensor)
    return torch.sparse_coo_tensor(indices, values, tuple(size), is_coalesced=bool(coalesced and coalesced[0]))


def parameter(data: Any, requires_grad: Any, hooks: Any = None, state: Any = None) -> nn.Parameter:
    """A parameter over the memory of a tensor."""
    expect(data, torch.Tensor)
    return set_attributes(nn.Parameter(data, bool(requires_grad)), state)


def of_type(function: Any, kind: Any, args: Any, state: Any) -> torch.Tensor:
    """A tensor of a subclass or with attributes of its own."""
    if not any(function is known for known in (tensor, tensor_of_dtype, parameter)):
        raise TypeError(f"a tensor cannot be rebuilt by a {type(function).__name__}")
    made = function(*expect(args, tuple))
    if not (isinstance(kind, type) and issubclass(kind, torch.Tensor)):
        raise TypeError(f"a tensor cannot become a {type(kind).__name__}")
    if type(made) is not kind:
        made = made.as_subclass(kind)
    return set_attributes(made, state)


def set_attributes(made: Any, state: Any, private: bool = False) -> Any:
    """Give an object the attributes that somebody had given it; those of its class are never touched, nor, unless
    `private`, those whose name begins with an underscore."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    for part in (attributes, slots):
        for name, value in expect({} if part is None else part, dict).items():
            if (private or not expect(name, str).startswith("_")) and not hasattr(type(made), name):
                setattr(made, name, value)
    return made


def items_of(value: Any) -> Any:
    """`value`, which must be a container that is no longer than the file that it came from."""
    return expect(value, (list, tuple, dict, set, frozenset, type(None), type))


def layout(name: Any) -> formats.layout:
    """The layout of that name, `torch.strided` or one of the sparse ones."""
    for known in formats.LAYOUTS:
        if repr(known) == name:
            return known
    raise ValueError("unknown layout")


def encode(text: Any, encoding: Any) -> bytes:
    """How protocol 2 writes bytes: as text of the same code points."""
    if not (isinstance(encoding, str) and encoding in ("latin1", "latin-1")):
        raise ValueError(f"bytes encoded by {str(encoding)[:20] if isinstance(encoding, str) else type(encoding)}")
    return expect(text, str).encode("latin1")


def byte_array(text: Any = b"", encoding: Any = "latin1") -> bytearray:
    """A bytearray of bytes, or of text as above."""
    return bytearray(encode(text, encoding) if isinstance(text, str) else expect(text, bytes))


def expect(value: Any, kind: type | tuple[type, ...]) -> Any:
    """`value`, which must be a `kind`."""
    if not isinstance(value, kind):
        wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise TypeError(f"expected a {wanted}, found a {type(value).__name__}")
    return value


FUNCTIONS = (tensor, tensor_of_dtype, sparse_tensor, parameter, of_type, layout, encode)

"""The recorded program: values (static single assignment), the storages that name them, and instructions.

Every operation makes one of each. Calling an `__init__` takes longer than making the object, so these classes have
none: `new_value`, `new_storage` and `new_instruction` fill the slots, and so does the recorder where it is hottest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau._ir.meta import Meta, holds_metas

if TYPE_CHECKING:
    import numpy as np

    from flambeau._core.sites import Site


class Value:
    """The contents of a storage at one moment: flat memory, or the promise of some.

    The memory is a flat NumPy `array`, or a `buffer` of the engine that becomes one when somebody asks for `data`.
    Both are None while the instruction that makes the value waits in `window`; `failure` is the error that running it
    raised.
    """

    __slots__ = ("array", "buffer", "window", "failure")

    array: np.ndarray | None
    buffer: Any
    window: Any
    failure: BaseException | None

    @property
    def data(self) -> np.ndarray | None:
        """The memory as a flat array; None if there is none yet."""
        array = self.array
        if array is None and self.buffer is not None:
            array = self.array = self.buffer.array()
        return array

    @data.setter
    def data(self, array: np.ndarray) -> None:
        self.array = array
        self.buffer = None

    @property
    def nbytes(self) -> int:
        """The size of the memory."""
        return (self.buffer or self._place()).nbytes

    @property
    def address(self) -> int:
        """The address of the memory."""
        return (self.buffer or self._place()).address

    def _place(self) -> Place:
        """Where the array is; remembered, as NumPy takes a microsecond to tell."""
        array: Any = self.array
        place = self.buffer = Place(array.__array_interface__["data"][0], array.nbytes)
        return place


class Place:
    """Where memory is that others keep, to be used as a value's `buffer`."""

    __slots__ = ("address", "nbytes")

    shared = True  # nobody may write there when the value is not needed any more

    def __init__(self, address: int, nbytes: int) -> None:
        self.address = address
        self.nbytes = nbytes


INFERENCE = -(1 << 60)


class Storage:
    """A mutable cell of memory that tensors look into: which `Value` it holds now, and how often that changed.

    `version` counts in-place changes, of which the last is noted in `changes`; it is negative (`INFERENCE` and more)
    for what was made in inference mode. `exposed` says that somebody outside
    (NumPy, DLPack) has looked at the same memory; while they do (`_engine.exposure`) nothing may be delayed, and writes
    must go to that very memory.
    """

    __slots__ = ("value", "version", "nbytes", "exposed", "changes", "__weakref__")

    value: Value
    version: int
    nbytes: int
    exposed: bool
    changes: Changes | None


class Changes:
    """How often a storage was changed in place, and the line of the last time: for those who want to know that
    without keeping the memory, also when the storage is gone."""

    __slots__ = ("version", "site")

    version: int
    site: Site | None


class Instruction:
    """One recorded operation.

    `args` has one entry a parameter of the op: a Value, a number, a static attribute, or a tuple of these; `metas` has
    at the same place the Meta of a Value. `inference` is what the op inferred from `metas`, `outputs` the Values it
    makes.
    """

    __slots__ = ("op", "args", "metas", "inference", "outputs", "site")

    op: Any
    args: tuple
    metas: tuple
    inference: Any
    outputs: tuple
    site: Site | None


class Inference:
    """What an op knows before it runs: the metas of its results and, for pointwise ops, the dtype it computes in
    and whether it can fail when it runs (so that the user's line has to be kept).

    Of `operands`, from which it was inferred, it remembers whether all are tensors (`plain`), whether one is a list of
    tensors (`nested`), whether one begins within its storage (`offset`), and the bytes of the `largest`. `savings` has,
    by the mask of operands that want gradients, what is saved for them. `pattern` is what the compiler keeps of it to
    recognise the same in other sizes. In a plan's key the inference itself stands for the op, its static arguments and
    the metas of its operands.
    """

    __slots__ = ("outputs", "compute", "differentiable", "fallible", "nbytes", "plain", "nested", "offset", "largest",
                 "savings", "pattern")  # fmt: skip

    def __init__(
        self, outputs: tuple[Meta, ...], compute: Any = None, fallible: bool = False, operands: tuple = ()
    ) -> None:
        self.outputs = outputs
        self.compute = compute
        self.fallible = fallible
        self.differentiable = any([m.dtype.differentiable for m in outputs])
        self.nbytes = sum([m.nbytes for m in outputs])
        self.plain = all([type(m) is Meta for m in operands])
        self.nested = any([holds_metas(m) for m in operands])
        self.offset = any([type(m) is Meta and m.offset for m in operands])
        self.largest = max([m.nbytes for m in operands if type(m) is Meta], default=0)
        self.savings: dict[int, Any] = {}
        self.pattern: Any = None


def new_value(window: Any = None) -> Value:
    """What an instruction that waits in `window` will make; without a window, a value to be given memory."""
    value = Value()
    value.array = value.buffer = value.failure = None
    value.window = window
    return value


def new_storage(value: Value, nbytes: int, version: int = 0) -> Storage:
    """A storage nobody has changed or seen yet."""
    storage = Storage()
    storage.value = value
    storage.version = version
    storage.nbytes = nbytes
    storage.exposed = False
    storage.changes = None
    return storage


def changes_of(storage: Storage) -> Changes:
    """The note of a storage's changes, made when the first asks for it."""
    changes = storage.changes
    if changes is None:
        changes = storage.changes = Changes()
        changes.version, changes.site = storage.version, None
    return changes


def note_changes(storage: Storage, times: int, site: Site | None) -> None:
    """Count changes of a storage in place."""
    storage.version += times
    changes = storage.changes or changes_of(storage)
    changes.version, changes.site = storage.version, site


def new_instruction(
    op: Any, args: tuple, metas: tuple, inference: Any, outputs: tuple, site: Site | None
) -> Instruction:
    """An instruction; the window is not told."""
    instruction = Instruction()
    instruction.op = op
    instruction.args = args
    instruction.metas = metas
    instruction.inference = inference
    instruction.outputs = outputs
    instruction.site = site
    return instruction

"""What a code object may read and do, from its instructions.

The instructions are not interpreted: which names occur is enough, since `reach` looks up every name on every object
that the code could get hold of. An instruction that is not known to leave Python's state alone is refused, and with it
all instructions of Python versions to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from flambeau._core.lazy import lazy_module
from flambeau._replay.refusal import Refusal

dis = lazy_module("dis")

# Moving values about, computing with them, jumping, building and taking apart containers, calling. Whether a call, an
# attribute or an item may be used is decided by who can be called and reached.
HARMLESS = frozenset("""
    BEFORE_WITH BINARY_OP BINARY_SLICE BINARY_SUBSCR BUILD_CONST_KEY_MAP BUILD_INTERPOLATION BUILD_LIST BUILD_MAP
    BUILD_SET BUILD_SLICE BUILD_STRING BUILD_TUPLE CACHE CALL CALL_FUNCTION_EX CALL_KW CLEANUP_THROW COMPARE_OP
    CONTAINS_OP CONVERT_VALUE COPY COPY_FREE_VARS DELETE_DEREF DELETE_FAST DELETE_SUBSCR DICT_MERGE DICT_UPDATE END_FOR
    END_SEND EXTENDED_ARG FORMAT_SIMPLE FORMAT_VALUE FORMAT_WITH_SPEC FOR_ITER GET_ITER GET_LEN IS_OP JUMP
    JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD JUMP_IF_FALSE_OR_POP JUMP_IF_TRUE_OR_POP JUMP_NO_INTERRUPT
    KW_NAMES LIST_APPEND LIST_EXTEND LIST_TO_TUPLE LOAD_ASSERTION_ERROR LOAD_CLOSURE LOAD_COMMON_CONSTANT LOAD_CONST
    LOAD_DEREF LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW LOAD_FAST_CHECK
    LOAD_FAST_LOAD_FAST LOAD_SMALL_INT LOAD_SPECIAL MAKE_CELL MAKE_FUNCTION MAP_ADD NOP NOT_TAKEN POP_BLOCK POP_EXCEPT
    POP_ITER POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_NONE POP_JUMP_BACKWARD_IF_NOT_NONE
    POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE
    POP_JUMP_FORWARD_IF_TRUE POP_JUMP_IF_FALSE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE POP_JUMP_IF_TRUE POP_TOP PRECALL
    PUSH_EXC_INFO PUSH_NULL RAISE_VARARGS RERAISE RESUME RETURN_CONST RETURN_GENERATOR RETURN_VALUE SET_ADD
    SET_FUNCTION_ATTRIBUTE SET_UPDATE STORE_DEREF STORE_FAST STORE_FAST_LOAD_FAST STORE_FAST_MAYBE_NULL
    STORE_FAST_STORE_FAST STORE_SLICE STORE_SUBSCR SWAP TO_BOOL UNARY_INVERT UNARY_NEGATIVE UNARY_NOT UNARY_POSITIVE
    UNPACK_EX UNPACK_SEQUENCE WITH_EXCEPT_START YIELD_VALUE
""".split())
GLOBALS = frozenset({"LOAD_GLOBAL"})
ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "STORE_ATTR"})
# The calls that CALL_INTRINSIC_1 makes on behalf of harmless syntax.
INTRINSICS = frozenset({"INTRINSIC_LIST_TO_TUPLE", "INTRINSIC_UNARY_POSITIVE", "INTRINSIC_STOPITERATION_ERROR"})
REASONS = {
    "STORE_GLOBAL": "a global variable is set",
    "DELETE_GLOBAL": "a global variable is deleted",
    "IMPORT_NAME": "something is imported",
    "LOAD_BUILD_CLASS": "a class is made",
    "CHECK_EXC_MATCH": "an exception is caught",
    "CHECK_EG_MATCH": "an exception is caught",
    "DELETE_ATTR": "an attribute is deleted",
    "SEND": "a coroutine is awaited or a generator delegated to",
}

# Attributes that lead out of what guards can see: where memory lies, who made a tensor, state of generators.
FORBIDDEN = frozenset("""
    data_ptr storage untyped_storage storage_offset register_hook register_post_accumulate_grad_hook retain_grad
    retains_grad grad_fn next_functions output_nr set_ share_memory_ is_set_to is_inference manual_seed seed set_state
    get_state initial_seed register_prehook metadata format format_map _version _base _base_node _storage _node _index
    _meta _grad _silent
""".split())
SPECIAL = frozenset({"__call__", "__getitem__", "__len__"})
SETTABLE = frozenset({"grad"})  # attributes that may be assigned: the effect on a tensor is seen


class Facts(NamedTuple):
    """The names that a code object, with those inside it, looks up, and the lines where they first occur: `globals` in
    its module, `attributes` on objects."""

    globals: dict[str, int]
    attributes: dict[str, int]


@lru_cache(maxsize=4096)
def facts_of(code: CodeType) -> Facts:
    """The names in `code`; Refusal if it does what cannot be replayed."""
    facts = Facts({}, {})
    for part in _with_inner(code):
        _scan(part, facts)
    return facts


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


def _scan(code: CodeType, facts: Facts) -> None:
    line = code.co_firstlineno
    caught = False  # is this the start of what handles an exception?
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argval
        line = _line(instruction) or line
        if caught and name != "WITH_EXCEPT_START":
            raise Refusal("an exception is handled", code, line)
        caught = name == "PUSH_EXC_INFO"
        if name in HARMLESS:
            continue
        if name in GLOBALS:
            facts.globals.setdefault(argument, line)
        elif name in ATTRIBUTES:
            _check_attribute(name, argument, code, line)
            facts.attributes.setdefault(argument, line)
        elif name != "CALL_INTRINSIC_1" or instruction.argrepr not in INTRINSICS:
            raise Refusal(REASONS.get(name, f"{name} is not known to be harmless"), code, line)


def _check_attribute(instruction: str, attribute: str, code: CodeType, line: int) -> None:
    if attribute in FORBIDDEN or (attribute.startswith("__") and attribute not in SPECIAL):
        raise Refusal(f"'.{attribute}' is used, which guards cannot see through", code, line)
    if instruction == "STORE_ATTR" and attribute not in SETTABLE:
        raise Refusal(f"the attribute '{attribute}' is set", code, line)


def _line(instruction: object) -> int | None:
    """The line of an instruction; how to ask depends on the version of Python."""
    positions = getattr(instruction, "positions", None)
    return None if positions is None else positions.lineno

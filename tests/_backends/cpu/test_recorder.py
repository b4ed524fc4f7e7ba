"""The native recorder's text: on all targets, and as the optimiser finds it. What it does is tested in
`tests/_tensor/test_native.py`."""

from __future__ import annotations

import sys

import llvmlite.binding as llvm
import pytest

from flambeau._backends.cpu import recorder, recorder_objects
from flambeau._backends.cpu.cpython import Layout
from flambeau._backends.cpu.objects import compile_text, machine
from flambeau._backends.cpu.target import aarch64, x86_64

TARGETS = [x86_64("v2"), x86_64("v4"), aarch64(), aarch64("arm64-apple-darwin23", "apple-m1")]
OPERATORS = (("__add__", True, False), ("__radd__", True, True), ("__neg__", False, False))
FIELDS = [f"{name}.{field}" for name, fields in recorder_objects.FIELDS.items() for field in fields]


def layout(immortal: bool) -> Layout:
    return Layout(immortal, 24, tuple([(field, 16 + 8 * i) for i, field in enumerate(FIELDS)]))


@pytest.mark.parametrize("immortal", [False, True])
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.triple + t.cpu)
def test_it_compiles_for_all_targets(target, immortal):
    text = recorder.text(target, layout(immortal), OPERATORS)
    llvm.parse_assembly(text).verify()
    assert len(compile_text(text, target)) > 1000


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.triple + t.cpu)
def test_it_calls_the_stable_functions_of_the_interpreter_only(target):
    """Functions that every CPython exports, so that the object can be linked; none of the platform's."""
    text = recorder.text(target, layout(True), OPERATORS)
    machine(target)
    module = llvm.parse_assembly(text)
    called = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
    assert called and all(name.startswith("Py") for name in called)
    if sys.implementation.name == "cpython":
        pythonapi = pytest.importorskip("ctypes").pythonapi
        assert [name for name in called if not hasattr(pythonapi, name)] == []

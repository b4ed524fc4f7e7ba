"""Every public module and name of PyTorch's is here, or refused with a reason: none is just missing.

`python tests/oracle/test_names.py` lists what is.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import flambeau
from flambeau._core.homes import HOMES, elsewhere
from flambeau._core.unsupported import NAMES, UnsupportedName, refuse
from flambeau.running.standing_in import HOUSE_ONLY

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

# Modules that are not asked for: why, which.
LEFT_OUT = {
    "insides that were put in modules without an underscore": "torch.autograd.profiler_util torch.cuda.jiterator "
    "torch.jit.annotations torch.jit.frontend torch.jit.generate_bytecode torch.jit.supported_ops "
    "torch.jit.unsupported_tensor_ops "
    "torch.nn.backends torch.nn.cpp torch.utils.data.datapipes.gen_pyi torch.utils.data.datapipes.utils.snapshot "
    "torch.utils.hipify torch.utils.jit torch.utils.viz torch.utils.benchmark.examples "
    "torch.utils.benchmark.utils.valgrind_wrapper torch.utils.benchmark.utils.compile "
    "torch.utils.benchmark.utils.cpp_jit torch.utils.benchmark.op_fuzzers torch.utils.data.datapipes.dataframe "
    "torch.cuda.amp.common torch.optim.optimizer torch.nn.modules.utils torch.nn.common_types "
    "torch.autograd.variable torch.utils.benchmark.utils.sparse_fuzzer torch.utils.benchmark.utils.fuzzer",
}
# Names that modules list and that are no part of PyTorch's interface: they were imported, or are for type checkers.
NOT_MEANT = {
    "torch": "cpp export",
    "torch.fft": "Tensor",
    "torch.serialization": "mkdtemp",
    "torch.utils.data": "_DatasetKind",
}


def left_out(module: str) -> bool:
    names = " ".join(LEFT_OUT.values()).split()
    return any(module == other or module.startswith(other + ".") for other in names)


def walk() -> Iterator[str]:
    """The names of PyTorch's modules that have no underscore, read from its folders; not below a module that is refused
    as a whole."""
    top = os.path.dirname(torch.__file__)
    for folder, inner, files in os.walk(top):
        package = ".".join(["torch", *os.path.relpath(folder, top).split(os.sep)]).removesuffix("..")
        yield package
        inner[:] = sorted(
            name
            for name in inner
            if os.path.exists(os.path.join(folder, name, "__init__.py"))
            and not name.startswith("_")
            and not refused(f"{package}.{name}")
            and not left_out(f"{package}.{name}")
        )
        names = [name.removesuffix(".py") for name in sorted(files) if name.endswith(".py") and name[0] != "_"]
        yield from (name for name in (f"{package}.{name}" for name in names) if not left_out(name))


def refused(name: str) -> bool:
    namespace, _, last = name.rpartition(".")
    if last in NAMES.get(namespace, {}):
        return True
    return ours(name) is None and isinstance(refuse(namespace, last), UnsupportedName)


@cache
def theirs(module: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(module)
        except ImportError as error:  # an optional package is not installed
            return error


@cache
def ours(module: str) -> Any:
    """What answers to `import torch.x.y` under `flambeau run`, or None."""
    if module in HOMES:
        return elsewhere(module)
    if module.removeprefix("torch.").partition(".")[0] in HOUSE_ONLY:
        return None
    try:
        return importlib.import_module("flambeau" + module.removeprefix("torch"))
    except ModuleNotFoundError:
        return None


def public(module: Any) -> set[str]:
    """The names that a module lists; without a list, what it defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return set(listed)
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, (types.ModuleType, types.GenericAlias))
        and getattr(value, "__module__", "") == module.__name__
    }


def missing(module: str) -> list[str]:
    """The names of a module that are neither here nor refused."""
    here = ours(module)
    there = public(theirs(module)) - {*NOT_MEANT.get(module, "").split()}
    return sorted(n for n in there if not hasattr(here, n) and not isinstance(refuse(module, n), UnsupportedName))


MODULES = [module for module in dict.fromkeys(walk()) if not refused(module)]


def test_tensors_have_every_attribute():
    names = {name for name in dir(torch.Tensor) if not name.startswith("_")}
    known = NAMES["torch.Tensor"]
    assert sorted(name for name in names if name not in known and not hasattr(flambeau.Tensor, name)) == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_and_name_is_here_or_refused(module):
    assert ours(module) is not None, f"{module} can neither be imported nor is it refused"
    if not isinstance(theirs(module), ImportError):
        assert missing(module) == []


def test_what_is_left_out_exists():
    """The tables above name nothing that PyTorch does not have, or that was added here."""
    for module, names in NOT_MEANT.items():
        assert [name for name in names.split() if name not in public(theirs(module))] == []
    top = Path(torch.__file__).parent.parent
    for name in (name for names in LEFT_OUT.values() for name in names.split()):
        path = top.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").exists(), name


if __name__ == "__main__":
    for each in MODULES:
        if ours(each) is None:
            print("no module", each, *sorted(public(theirs(each))))
        elif not isinstance(theirs(each), ImportError) and (names := missing(each)):
            print("no names ", each, *names)
    sys.exit(0)

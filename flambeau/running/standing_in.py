"""`import torch` answered by Flambeau: a finder that gives the package's own modules under PyTorch's names."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flambeau import version
from flambeau._core.errors import explain
from flambeau._core.homes import HOMES, elsewhere
from flambeau._core.lazy import lazy_module
from flambeau._core.unsupported import UnsupportedModule, UnsupportedName, refuse

if TYPE_CHECKING:
    import difflib

    from flambeau.running import metadata
else:
    difflib = lazy_module("difflib")
    metadata = lazy_module("flambeau.running.metadata")  # which imports what is slow to import

STANDS_FOR = {"torch": "flambeau", "torchvision": "flambeau.vision", "safetensors": "flambeau.safetensors"}
# Rooms of the package that PyTorch does not have, and that would be no answer to a name of PyTorch's.
HOUSE_ONLY = frozenset({"__main__", "apparel", "cli", "compiling", "running", "safetensors", "vision"})
# PyTorch's private modules that are here all the same.
PRIVATE = frozenset({"_C", "__config__", "_dynamo", "_subclasses", "_tensor_str", "_utils"})
# Modules that programs ask for and that have no counterpart: why, and what to use.
REFUSED = {
    "torchvision.models.feature_extraction": (
        "it rewrites the graph of a model, which nobody records here",
        "torchvision.models._utils.IntermediateLayerGetter, or module.register_forward_hook",
    ),
    "torchvision.tv_tensors": ("pictures, boxes and masks are plain tensors", "torch.Tensor; boxes: torchvision.ops"),
}
PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def install_as_torch() -> None:
    """From now on, and in processes that this one starts through `multiprocessing`, `import torch` and `import
    torchvision` give Flambeau; `torch.nn` is the same module object as `flambeau.nn`. `flambeau run program.py` does
    this for a whole program. Calling it twice does nothing.

    `flambeau.__version__` then names PyTorch's version whose behaviour is followed: `2.13.0+flambeau.0.2.0`.

    Raises:
        RuntimeError: if PyTorch itself, or torchvision, has been imported already.

    Example::

        import flambeau
        flambeau.install_as_torch()
        import torch                      # flambeau
        from torch.utils.data import DataLoader
    """
    if any(isinstance(finder, StandIn) for finder in sys.meta_path):
        return
    for root in STANDS_FOR:
        if root in sys.modules:
            place = getattr(sys.modules[root], "__file__", None) or "a module without a file"
            hint = f"call flambeau.install_as_torch() before the first import of {root}, or: flambeau run program.py"
            raise RuntimeError(explain(f"{root} itself is imported already, from {place}", hint=hint))
    sys.meta_path.insert(0, StandIn())
    package: Any = sys.modules["flambeau"]
    package.__version__ = version.AS_TORCH
    package.__name__ = "torch"  # libraries ask for it
    package.torch = package  # PyTorch's module has itself under its name
    _install_in_spawned_processes()


class StandIn:
    """Finds `torch.x.y` as `flambeau.x.y`, and `torchvision.x` as `flambeau.vision.x`.

    A name that is not there is ModuleNotFoundError at once, so that a real PyTorch further down the path is never
    mixed in.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, rest = fullname.partition(".")
        if root not in STANDS_FOR:
            return None
        own = STANDS_FOR[root] + (rest and "." + rest)
        found = _found(own) if _is_public(fullname) else None
        if found is None:
            raise _missing(fullname)
        loader: Any = SameModule(own)  # not a subclass of importlib's: importlib.abc is slow to import
        return ModuleSpec(fullname, loader, is_package=found.submodule_search_locations is not None)

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """What `importlib.metadata` knows of the packages stood for."""
        return metadata.distributions(context.name)


class SameModule:
    """Loads a module by giving one that exists under another name, untouched."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._spec: Any = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.name)
        self._spec = module.__spec__
        return module

    def get_code(self, name: str) -> Any:
        """The code, for `flambeau run -m torch.utils.collect_env`."""
        spec = _found(self.name)
        return getattr(spec and spec.loader, "get_code", lambda name: None)(self.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put PyTorch's name there
        for alias, own in STANDS_FOR.items():  # what is loaded gets its second name now: importing it by that name
            for name, loaded in list(sys.modules.items()):  # would hide a function called as its module
                if name.startswith(own + ".") and _is_public(second := alias + name.removeprefix(own)):
                    sys.modules.setdefault(second, loaded)
                    if not hasattr(loaded, "__path__"):  # a file where PyTorch has a folder: what is asked for below
                        loaded.__path__ = []  # is then found missing here, with a reason
        for name in HOMES:
            sys.modules.setdefault(name, elsewhere(name))


def _is_public(name: str) -> bool:
    """May a program for PyTorch see this module? Not the package's inside, nor what only the package has."""
    first = (name.split(".") + [""])[1]
    if first.startswith("_"):
        return first in PRIVATE
    return not (name.startswith("torch.") and first in HOUSE_ONLY)


def _found(own: str) -> ModuleSpec | None:
    """The spec of one of the package's modules, whose parent is loaded by now."""
    if own in sys.modules:
        return sys.modules[own].__spec__
    parent = sys.modules.get(own.rpartition(".")[0])  # None: PyTorch's module lives in another one here
    path = getattr(parent, "__path__", None)
    return None if path is None else PathFinder.find_spec(own, path)


def _missing(name: str) -> ModuleNotFoundError:
    """The error about what is not there: why, or what may have been meant."""
    parent, _, last = name.rpartition(".")
    if isinstance(refusal := refuse(parent, last), UnsupportedName):
        return UnsupportedModule(str(refusal), name=name)
    return ModuleNotFoundError(_suggestion(name), name=name)


def _suggestion(name: str) -> str:
    """That a module is not there, and what may have been meant."""
    root, _, rest = name.partition(".")
    parent, _, last = name.rpartition(".")
    fact = f"No module named {name!r}: Flambeau, which stands for {root} here, has no such module"
    if rest.startswith("_"):
        return explain(fact, hint=f"it is private to {root}; use the public functions")
    if name in REFUSED:
        return explain(f"{fact}: {REFUSED[name][0]}", hint=REFUSED[name][1])
    if hasattr(sys.modules.get(parent), last):
        return explain(fact, hint=f"{last} is a name in {parent}, not a module: from {parent} import {last}")
    known = {module.partition(".")[2]: module for module in _public_modules() if module.startswith(root + ".")}
    if near := difflib.get_close_matches(rest, known, 1):
        return explain(fact, hint=f"the nearest is {known[near[0]]}")
    inner = sorted({module.removeprefix(parent + ".") for module in known.values() if module.startswith(parent + ".")})
    return explain(fact, hint=f"{parent} has {', '.join(name for name in inner if '.' not in name)}")


def _public_modules() -> Iterator[str]:
    """The modules under their PyTorch names, read from the folders."""
    for root, own in STANDS_FOR.items():
        top = os.path.join(os.path.dirname(PACKAGE_FOLDER), *own.split("."))
        for folder, inner, files in os.walk(top):
            inner[:] = [name for name in inner if os.path.exists(os.path.join(folder, name, "__init__.py"))]
            package = ".".join([root, *os.path.relpath(folder, top).split(os.sep)]).removesuffix("..")
            names = [package, *(f"{package}.{name.removesuffix('.py')}" for name in files if name.endswith(".py"))]
            yield from (n for n in names if _is_public(n) and not any(p.startswith("_") for p in n.split(".")))


# ---------------------------------------------------------------------------------------------- other processes


class Installation:
    """Installs Flambeau as torch in the process that unpickles it. Its search path may not have the package yet."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        code = "import sys; sys.path.append({!r}); import flambeau; sys.path.pop(); flambeau.install_as_torch()"
        return exec, (code.format(os.path.dirname(PACKAGE_FOLDER)),)


def _install_in_spawned_processes() -> None:
    """A process that is not forked imports the program again; what it is told first carries the installation."""
    spawn = importlib.import_module("multiprocessing.spawn")  # not `lazy_module`, which would keep the change to itself
    prepare = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data = prepare(name)
        if name == "ignore":  # for the server of "forkserver", which would import the program without the installation
            data.pop("init_main_from_path", None)
            data.pop("main_path", None)
        return {"flambeau": Installation(), **data}

    spawn.get_preparation_data = get_preparation_data  # type: ignore[attr-defined]

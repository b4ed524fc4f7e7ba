"""`flambeau run`: a program started as Python would start it, with Flambeau in the place of PyTorch."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any, NamedTuple, NoReturn

from flambeau.running.standing_in import install_as_torch

USAGE = """usage: flambeau run program.py [arguments]
       flambeau run -m module [arguments]

Run a PyTorch program: what `python program.py` does, except that `import torch` and
`import torchvision` give Flambeau. Everything after the program is the program's own.
"""
USAGE_ERROR = 2


class Program(NamedTuple):
    """What is to be run: how Python names it, what becomes of sys.path[0], the module's attributes, and its code."""

    argv0: str
    folder: str
    attributes: dict[str, Any]
    code: CodeType


def main(arguments: Sequence[str]) -> None:
    """Run the program that `arguments`, those after `flambeau run`, name. It ends as the program ends."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if arguments else sys.stderr)
        sys.exit(0 if arguments else USAGE_ERROR)
    as_module = arguments[0] == "-m"
    if (as_module and len(arguments) < 2) or (not as_module and arguments[0].startswith("-")):
        print(f"flambeau run: cannot understand {' '.join(arguments)!r}\n{USAGE}", end="", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    install_as_torch()
    given = arguments[1:] if as_module else arguments
    sys.argv = list(given)
    try:
        program = _module(given[0]) if as_module else _script(given[0])
    except SyntaxError as error:
        _end(error, None)
    sys.argv[0] = program.argv0
    if not as_module:
        _set_first_folder(program.folder)
    _run(program)


def _script(path: str) -> Program:
    """A file of Python, or a folder or zip file that holds `__main__.py`."""
    if os.path.isdir(path) or _is_zip(path):
        _set_first_folder(os.path.abspath(path))
        return _module("__main__")._replace(argv0=path, folder=os.path.abspath(path))
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"flambeau run: can't open file {os.path.abspath(path)!r}: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    full = os.path.abspath(path)
    loader = SourceFileLoader("__main__", full)
    attributes = {"__file__": full, "__loader__": loader, "__spec__": None, "__package__": None, "__cached__": None}
    return Program(path, os.path.dirname(os.path.realpath(path)), attributes, compile(source, full, "exec", 0, True))


def _module(name: str) -> Program:
    """A module found on the search path, or a package that holds `__main__`."""
    if name != "__main__":
        _set_first_folder(os.getcwd())
    spec = _found(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _found(f"{name}.__main__")
    get_code = getattr(spec and spec.loader, "get_code", None)
    code = get_code(spec.name) if spec and get_code else None
    if spec is None or code is None:
        print(f"flambeau run: No module named {name}", file=sys.stderr)
        sys.exit(1)
    attributes = {
        "__file__": spec.origin, "__loader__": spec.loader, "__spec__": spec, "__package__": spec.parent,
        "__cached__": spec.cached,
    }  # fmt: skip
    return Program(spec.origin or name, os.getcwd(), attributes, code)


def _found(name: str) -> ModuleSpec | None:
    if name == "__main__":
        return PathFinder.find_spec(name, sys.path[:1])
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None


def _is_zip(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\3\4"
    except OSError:
        return False


def _set_first_folder(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _run(program: Program) -> None:
    """Run the code as `__main__`. The module stays when the code is through: exit handlers and threads use it."""
    module = ModuleType("__main__")
    vars(module).update(program.attributes, __builtins__=sys.modules["builtins"])
    if "__annotations__" in vars(sys.modules["__main__"]):  # a main module has them from the start, in most versions
        module.__annotations__ = {}
    sys.modules["__main__"] = module
    try:
        exec(program.code, vars(module))
    except SystemExit:
        raise
    except BaseException as error:
        _end(error, program.code)


def _end(error: BaseException, code: CodeType | None) -> NoReturn:
    """Print the traceback from the program's first line on, then let Python end as it does after `error`."""
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code is not code:
        frames = frames.tb_next
    sys.excepthook(type(error), error.with_traceback(frames), frames)
    sys.excepthook = lambda *_: None
    raise error

"""Where in a model an error happened: a note on the exception, built while it unwinds, so that calls cost nothing."""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .module import Module


def add_module_note(error: BaseException, call: CodeType) -> None:
    """Note on `error` which module raised it, such as `net.encoder.fc1: Linear(in_features=4, ...)`.

    To be called while `error` unwinds `Module.__call__`, whose code is `call`. Only the outermost module call adds the
    note; it reads the modules on the way from the traceback.
    """
    frame = sys._getframe(1)
    if _enclosed(frame, call):
        return
    trail = _modules_on_the_way(error, call)
    if not trail:
        return
    path = _name_in_caller(trail[0], frame.f_back)
    for parent, child in zip(trail, trail[1:], strict=False):
        if child is not parent:
            path += "." + _name_in_parent(parent, child)
    described = repr(trail[-1])
    note = f"In module {path}: {described if chr(10) not in described else type(trail[-1]).__name__}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def _enclosed(frame: FrameType, call: CodeType) -> bool:
    outer = frame.f_back
    while outer is not None:
        if outer.f_code is call:
            return True
        outer = outer.f_back
    return False


def _modules_on_the_way(error: BaseException, call: CodeType) -> list[Module]:
    modules = []
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code is call:
            modules.append(traceback.tb_frame.f_locals["self"])
        traceback = traceback.tb_next
    return modules


def _name_in_caller(module: Module, frame: FrameType | None) -> str:
    """The variable that the calling code uses for `module`, else its class name."""
    if frame is not None:
        for names in (frame.f_locals, frame.f_globals):
            for name, value in names.items():
                if value is module and name != "self":
                    return name
    return type(module).__name__


def _name_in_parent(parent: Module, child: Module) -> str:
    for name, module in parent.named_modules():
        if module is child:
            return name
    return type(child).__name__

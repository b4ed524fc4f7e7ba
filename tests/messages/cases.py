"""The catalogue of mistakes: what stands in the pages beside this file, how a case is run, what it says.

A page is Markdown: `## ` and the mistake, the code that makes it, and what comes of it: the kind of exception or
warning, the line of the code that raised it, and the message with its notes.
"""

from __future__ import annotations

import re
import traceback
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PROGRAM = "program.py"  # the name of the file that every case pretends to be
CASE = re.compile(r"^## (?P<title>[^\n]+)\n```python\n(?P<code>.*?)```\n(?:```text\n(?P<told>.*?)```\n)?", re.M | re.S)
HEAD = re.compile(rf"^(\w+), {re.escape(PROGRAM)}:\d+$", re.M)


class Case(NamedTuple):
    """One mistake; `told` is what the page says comes of it ("" if nothing yet)."""

    page: str
    title: str
    code: str
    told: str


def pages() -> list[Path]:
    return sorted(HERE.glob("*.md"))


def cases() -> list[Case]:
    return [
        Case(page.stem, found["title"], found["code"], found["told"] or "")
        for page in pages()
        for found in CASE.finditer(page.read_text(encoding="utf-8"))
    ]


def kinds(told: str) -> list[str]:
    """The names of the warnings and the exception, in the order they came."""
    return HEAD.findall(told)


def outcome(case: Case, torch: ModuleType) -> str:
    """What comes of a case with this package: the warnings it raised in the case's own lines, then the exception."""
    torch.manual_seed(0)
    told = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(compile(case.code, PROGRAM, "exec"), names(torch))
        except Exception as error:
            told.append(describe(error))
    raised = [f"{w.category.__name__}, {PROGRAM}:{w.lineno}\n{w.message}\n" for w in caught if w.filename == PROGRAM]
    return "\n".join([*raised, *told]) or "nothing\n"


def names(torch: ModuleType) -> dict[str, Any]:
    """What the cases find imported."""
    import numpy

    data = torch.utils.data
    return {
        "__name__": "program",
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "optim": torch.optim,
        "np": numpy,
        "Dataset": data.Dataset,
        "DataLoader": data.DataLoader,
        "IterableDataset": data.IterableDataset,
        "TensorDataset": data.TensorDataset,
    }


def describe(error: Exception) -> str:
    """The exception's name, the innermost line of the case in its traceback, the message and the notes."""
    line = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == PROGRAM][-1]
    text = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return f"{type(error).__name__}, {PROGRAM}:{line}\n{stable(text)}\n"


def stable(text: str) -> str:
    """A message without what changes from run to run, from machine to machine and from one Python to the next:
    addresses (not sizes such as 1x0x5), folders, the package's own lines, marks below lines, frames of
    comprehensions."""
    text = re.sub(r"\b0x[0-9a-f]{6,}", "0x...", text).replace(f"{Path.cwd()}/", "")
    text = re.sub(r'File "[^"]*/(\w+/[\w.]+)", line \d+', r'File "\1", line ...', text)
    text = re.sub(r"^ +[~^]+\n|^  File .*, in <listcomp>\n.*\n", "", text, flags=re.M)
    return re.sub(r"[ \t]+$", "", text, flags=re.M).rstrip()


def write_pages(torch: ModuleType) -> None:
    """Write into the pages what comes of their cases now."""
    for page in pages():
        text = page.read_text(encoding="utf-8")

        def told(found: re.Match[str], page: str = page.stem) -> str:
            case = Case(page, found["title"], found["code"], "")
            return f"## {case.title}\n```python\n{case.code}```\n```text\n{outcome(case, torch)}```\n"

        page.write_text(CASE.sub(told, text), encoding="utf-8")


if __name__ == "__main__":
    import flambeau

    write_pages(flambeau)

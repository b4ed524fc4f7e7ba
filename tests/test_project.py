"""Promises that the project makes about itself: versions, commands, links, docstrings and their examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import flambeau

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("flambeau/**/README.md")])
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "flambeau").rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py") and ">>>" in path.read_text(encoding="utf-8")
]


def test_one_version() -> None:
    version = PROJECT["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert flambeau.__version__ == version == newest[1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_links_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^\$? ?)make ([a-z]+)", text, re.MULTILINE)) <= rules
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (document.parent / link).exists()] == []


def test_documents_name_files_that_exist() -> None:
    """A path in backquotes, such as `flambeau/_ops/` or `tests/conftest.py`, is there."""
    pattern = re.compile(r"`((?:flambeau|tests|docs|examples|benchmarks)/[\w./]*)`")
    named = {(path, name) for path in DOCUMENTS for name in pattern.findall(path.read_text(encoding="utf-8"))}
    assert [(str(path), name) for path, name in sorted(named) if not (ROOT / name).exists()] == []


def test_pins_cover_the_dependencies() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(name for extra in extras for name in extra)]
    pinned = {line.partition("==")[0] for line in lines}
    assert {re.split(r"[<>=]", name)[0] for name in wanted} <= pinned


@pytest.mark.parametrize("name", sorted(flambeau.__all__))
def test_public_names_are_documented(name: str) -> None:
    thing = getattr(flambeau, name)
    if callable(thing) or isinstance(thing, ModuleType):
        assert (inspect.getdoc(thing) or "").strip(), f"flambeau.{name} has no docstring"


@pytest.mark.parametrize("module_name", MODULES)
@pytest.mark.usefixtures("usual_window")
def test_docstring_examples(module_name: str) -> None:
    """Every `>>>` example gives what it says; `torch` stands for flambeau, and the seed is 0."""
    module = importlib.import_module(module_name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    names = vars(module) | {"torch": flambeau, "flambeau": flambeau, "nn": flambeau.nn}
    report: list[str] = []
    for place, docstring, line in docstrings(Path(module.__file__ or "")):
        test = doctest.DocTestParser().get_doctest(docstring, dict(names), place, module_name, line)
        flambeau.manual_seed(0)
        runner.run(test, out=report.append)
    assert not report, "".join(report)


def docstrings(path: Path) -> list[tuple[str, str, int]]:
    """(name, docstring, line) of all that has one, read from the source, so that decorators hide none."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            found.append((getattr(node, "name", "module"), text, node.body[0].lineno - 1))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_examples(document: Path) -> None:
    """The `>>>` examples of a page, run from its top to its end."""
    text = re.sub(r"^```.*$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, document.name, str(document), 0)
    report: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not report, "".join(report)

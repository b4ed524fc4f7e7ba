"""Does a text say this, then that? `FileCheck`, after LLVM's tool of that name."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["FileCheck"]


class _Check(NamedTuple):
    """What a text must, or must not, say from some place on. `kind` is what LLVM's files call it."""

    kind: str
    pattern: str
    times: int = 1


class FileCheck:
    """Checks of a text, to be added one after the other and run together. Each looks behind what the one before has
    found.

    Example::

        >>> FileCheck().check("one").check_not("two").check_next("three").run("one\\nthree")
        >>> FileCheck().check("two").run("one")
        Traceback (most recent call last):
        ...
        RuntimeError: Expected to find "two" but did not find it
        Searched string:
        one
        From CHECK: two
    """

    def __init__(self) -> None:
        self._checks: list[_Check] = []

    def _add(self, kind: str, pattern: str, count: int = 1) -> FileCheck:
        self._checks.append(_Check(kind, pattern, count))
        return self

    def check(self, text: str) -> FileCheck:
        """The text is there."""
        return self._add("CHECK", text)

    def check_not(self, text: str) -> FileCheck:
        """It is not, before what the next check finds."""
        return self._add("CHECK-NOT", text)

    def check_next(self, text: str) -> FileCheck:
        """It is in the next line."""
        return self._add("CHECK-NEXT", text)

    def check_same(self, text: str) -> FileCheck:
        """It is in the same line."""
        return self._add("CHECK-SAME", text)

    def check_dag(self, text: str) -> FileCheck:
        """It is there; several of these in a row may be in any order."""
        return self._add("CHECK-DAG", text)

    def check_regex(self, pattern: str) -> FileCheck:
        """What matches a regular expression is there."""
        return self._add("CHECK-REGEX", pattern)

    def check_count(self, text: str, count: int, exactly: bool = False) -> FileCheck:
        """It is there so many times; `exactly`: and not again before what the next check finds."""
        self._add("CHECK-COUNT", text, count)
        return self.check_not(text) if exactly else self

    def check_source_highlighted(self, text: str) -> FileCheck:
        """It is there, with tildes below it in the next line."""
        return self._add("CHECK-SOURCE-HIGHLIGHTED", text)

    def run(self, text: str, checked: str | None = None) -> None:
        """Check a text; RuntimeError for the first check that fails, or without checks. With two texts, the first is
        a file that has checks in its comments: `# CHECK: one`, `# CHECK-COUNT-EXACTLY-2: two`."""
        if checked is not None:
            file = FileCheck()
            for check in _parsed(text):
                file._add(*check)
            file.run(checked)
            return
        if not self._checks:
            raise RuntimeError("No checks have been added to this instance of FileCheck! Check for bad input.")
        place, pending = 0, list[_Check]()  # behind the last find; what must not be before the next
        groups = _grouped(self._checks)
        for group in groups:
            if group[0].kind == "CHECK-NOT":
                pending = group
                continue
            start, end = _found(text, group, place)
            _check_absent(text, pending, place, start)
            place, pending = end, []
        _check_absent(text, pending, place, len(text))


_COMMENT = re.compile(r"CHECK(-[A-Z-]+?)?(?:-(\d+))?:[ \t]*(.*)")


def _parsed(file: str) -> list[_Check]:
    """The checks in the comments of a file."""
    checks = []
    for kind, count, pattern in _COMMENT.findall(file):
        if kind == "-COUNT-EXACTLY":
            checks += [_Check("CHECK-COUNT", pattern.strip(), int(count)), _Check("CHECK-NOT", pattern.strip())]
        else:
            checks.append(_Check(f"CHECK{kind}", pattern.strip(), int(count or 1)))
    return checks


def _grouped(checks: list[_Check]) -> list[list[_Check]]:
    """Checks that are made together: neighbours that may come in any order, or must all be absent."""
    groups: list[list[_Check]] = []
    for check in checks:
        if groups and check.kind in ("CHECK-DAG", "CHECK-NOT") and groups[-1][0].kind == check.kind:
            groups[-1].append(check)
        else:
            groups.append([check])
    return groups


def _found(text: str, group: list[_Check], place: int) -> tuple[int, int]:
    """Where the first of a group's finds begins and the last one ends."""
    spans = [_span(text, check, place) for check in group]
    return min(start for start, _ in spans), max(end for _, end in spans)


def _span(text: str, check: _Check, place: int) -> tuple[int, int]:
    kind, pattern, times = check
    if kind == "CHECK-REGEX":
        found = re.compile(pattern).search(text, place)
        if found is None:
            raise _error(f'Expected to find regex "{pattern}" but did not find it', text[place:], check)
        return found.span()
    start, end = -1, place
    for _ in range(times):
        at = text.find(pattern, end)
        if at < 0:
            raise _error(f'Expected to find "{pattern}" but did not find it', text[place:], check)
        start, end = at if start < 0 else start, at + len(pattern)
    lines = text.count("\n", place, start)
    if kind in ("CHECK-NEXT", "CHECK-SAME") and lines != (kind == "CHECK-NEXT"):
        where = "the next" if kind == "CHECK-NEXT" else "the same"
        raise _error(f'Expected to find "{pattern}" in {where} line but found it {lines} lines below', text, check)
    if kind == "CHECK-SOURCE-HIGHLIGHTED":
        column, next_line = start - text.rfind("\n", 0, start) - 1, text.find("\n", end) + 1
        if not next_line or text[next_line:][column : column + len(pattern)] != "~" * len(pattern):
            raise _error(f'Expected to find "{pattern}" highlighted but it is not', text[place:], check)
    return start, end


def _check_absent(text: str, checks: list[_Check], start: int, end: int) -> None:
    for check in checks:
        at = text.find(check.pattern, start, end)
        if at >= 0:
            line_end = text.find("\n", at)
            shown = text[: len(text) if line_end < 0 else line_end]
            marked = f"{shown}\n{' ' * (at - shown.rfind(chr(10)) - 1)}{'~' * len(check.pattern)} <--- HERE"
            raise RuntimeError(f'Expected to not find "{check.pattern}" but found it\n{marked}\n{_source(check)}')


def _error(fact: str, searched: str, check: _Check) -> RuntimeError:
    return RuntimeError(f"{fact}\nSearched string:\n{searched}\n{_source(check)}")


def _source(check: _Check) -> str:
    count = f"-{check.times}" if check.kind == "CHECK-COUNT" else ""
    return f"From {check.kind}{count}: {check.pattern}"

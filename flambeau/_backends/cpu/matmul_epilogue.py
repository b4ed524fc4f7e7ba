"""Telling the caller of a matrix product that a block of C is finished, while it is in the cache."""

from __future__ import annotations

from collections.abc import Mapping

from flambeau._backends.cpu.emit import Function, Val

# What is to be called (or 0) and its words. `flipped`: C is the transpose of what the caller thinks of.
EPILOGUE = "epilogue_at epilogue_words_at flipped"


def call_epilogue(
    f: Function, fields: Mapping[str, Val], number: Val, rows: tuple[Val, Val], columns: tuple[Val, Val]
) -> None:
    """Call `epilogue(words, row_lo, row_hi, column_lo, column_hi)` for a block of matrix `number`, of size (m, n); it
    counts the rows of all matrices on."""
    m, n, flipped = fields["m"], fields["n"], f.compare("ne", fields["flipped"], 0)
    with f.when(f.compare("ne", fields["epilogue_at"], Val("null", "ptr"))):
        before = f.mul(number, f.select(flipped, n, m))
        first = [f.add(before, f.select(flipped, c, r)) for r, c in zip(rows, columns, strict=True)]
        second = [f.select(flipped, r, c) for r, c in zip(rows, columns, strict=True)]
        f.call_address(fields["epilogue_at"], [fields["epilogue_words_at"], *first, *second])

"""A page's records as text: the form in which every declared source hands them over, however they were written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from sync.declared.declaration import Declaration

CHARACTERS_OF_EVIDENCE = 400
BROKEN_SCHEMA = pl.Schema({"ordinal": pl.Int64(), "text": pl.String(), "message": pl.String()})


@dataclass(frozen=True, slots=True)
class Records:
    """`lines`: `ordinal` and per declared column its text under `raw(column)`, absent values null. `broken`: a frame of BROKEN_SCHEMA, the
    records that can't be cut into columns. `records` counts both; `names`: the source's own columns in their order.
    """

    lines: pl.DataFrame
    broken: pl.DataFrame
    records: int
    names: tuple[str, ...]


def raw(column: str) -> str:
    """The name of `column` as text in the `lines` of Records."""
    return f"text of {column}"


def of_rows(
    rows: Sequence[Mapping[str, str | None]], declaration: Declaration, names: Iterable[str], broken: Sequence[tuple[int, str, str]] = ()
) -> Records:
    """Records of `rows`, declared column -> text (or None), in their order. `names` are the source's own columns; `broken` the records that
    could not be read: (ordinal, text, message). `rows` take the ordinals that are left, from 0 on.
    """
    unread = {ordinal for ordinal, _, _ in broken}
    total = len(rows) + len(broken)
    ordinals = [place for place in range(total) if place not in unread]
    cut = pl.DataFrame(
        {"ordinal": ordinals, **{name: [row.get(name) for row in rows] for name in declaration.columns}},
        schema={"ordinal": pl.Int64(), **dict.fromkeys(declaration.columns, pl.String())},
    )
    return Records(cleaned(cut, declaration), broken_frame(broken), total, tuple(names))


def broken_frame(broken: Sequence[tuple[int, str, str]]) -> pl.DataFrame:
    """(ordinal, text, message) of each unreadable record as a frame of BROKEN_SCHEMA, the text safe to store and short."""
    rows = [(ordinal, text.replace("\0", "\ufffd")[:CHARACTERS_OF_EVIDENCE], message) for ordinal, text, message in broken]
    return pl.DataFrame(rows, schema=BROKEN_SCHEMA, orient="row")


def cleaned(cut: pl.DataFrame, declaration: Declaration) -> pl.DataFrame:
    """`ordinal` and the declared columns of `cut` under their raw names: trimmed, with the values that mean "nothing" as null.

    A declared column that `cut` does not have is null throughout.
    """
    nothing = ["", *declaration.null_values]

    def one(name: str) -> pl.Expr:
        if name not in cut.columns:
            return pl.lit(None, dtype=pl.String).alias(raw(name))
        trimmed = pl.col(name).str.strip_chars()
        return pl.when(trimmed.is_in(nothing)).then(None).otherwise(trimmed).alias(raw(name))

    return cut.select(pl.col("ordinal"), *(one(name) for name in declaration.columns))

"""Merging a frame of records into a canonical table and its history: each record lands as what it turns out to be.

A narrow probe comes first: only keys, versions and hashes travel, so a replay of what is already there reads and
writes next to nothing. New rows are copied straight into the table; changed ones go through a staging table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa
from psycopg import sql

from db.copying import (
    FrameUnfit,
    check_fits,
    columns_sql,
    content_hash,
    copy_frame,
    copy_into,
    identifier,
    read_frame,
)
from db.engine import Writing, driver

__all__ = [
    "OUTCOMES",
    "Contended",
    "FrameUnfit",
    "Merged",
    "content_hash",
    "copy_frame",
    "merge",
    "read_frame",
]

OUTCOMES = ("new", "changed", "unchanged", "superseded", "duplicate")
OUTCOME = pl.Enum(OUTCOMES)
_KEY = ["source", "source_key"]
_IDENTITY = [*_KEY, "source_version", "content_hash"]
_PROBE = sql.Identifier("tidegate_probe")
_STAGE = sql.Identifier("tidegate_stage")
_SAME_KEY = sql.SQL("{0}.source = {1}.source AND {0}.source_key = {1}.source_key")


class Contended(RuntimeError):
    """Another transaction changed one of these records meanwhile: roll back and do the whole batch again."""


@dataclass(frozen=True)
class Merged:
    """What became of a frame's rows.

    `outcomes` has one row per row of the frame, in its order: `row` (0 is the first) and `outcome`, one of
    new, changed, unchanged (the current version again), superseded (older than the current or than another row
    of the frame) and duplicate (a later row of the frame says the same). `before` holds the old rows of changed
    keys, with all columns of the table.
    """

    outcomes: pl.DataFrame
    before: pl.DataFrame

    def count(self, outcome: str) -> int:
        """How many rows had `outcome`."""
        return int((self.outcomes["outcome"] == outcome).sum())

    def rows(self, outcome: str) -> pl.Series:
        """The row numbers in the frame that had `outcome`, ascending."""
        return self.outcomes.filter(pl.col("outcome") == outcome)["row"]


def merge(conn: Writing, table: sa.Table, history: sa.Table, frame: pl.DataFrame, *, now: datetime) -> Merged:
    """Merge `frame` into `table`, moving superseded versions to `history`; `now` (UTC) becomes recorded_at.

    `frame` has every column of `table` but recorded_at, its rows in the order received. A lower source_version
    never overwrites a higher one; at equal versions with different content the later received wins. Raises
    FrameUnfit for a frame of another shape, and Contended or IntegrityError when a concurrent transaction wrote
    one of the keys: the caller's transaction is then to be done again.
    """
    names = [column.name for column in table.columns if column.name != "recorded_at"]
    if set(names) != set(frame.columns):
        differing = sorted(set(names) ^ set(frame.columns))
        raise FrameUnfit(f"{table.fullname}: the frame's columns differ from the table's in {', '.join(differing)}")
    check_fits(table, frame)
    numbered = frame.select(_IDENTITY).with_row_index("row")
    newest, older, duplicate = _within_frame(numbered)
    judged = _against_current(conn, table, newest)
    changed = judged.filter(pl.col("outcome") == "changed")
    late = pl.concat([older, judged.filter(pl.col("outcome") == "superseded").select(numbered.columns)]).sort("row")
    unrecorded, repeated = _against_history(conn, table, history, late)

    before = _replace(conn, table, history, rows=frame[changed["row"]].select(names), expected=changed, now=now)
    stamped = frame.with_columns(pl.lit(now).dt.convert_time_zone("UTC").alias("recorded_at"))
    copy_frame(conn, table, stamped[judged.filter(pl.col("outcome") == "new")["row"]])
    copy_frame(conn, history, stamped[unrecorded].with_columns(superseded_at=pl.col("recorded_at")))

    outcomes = pl.concat(
        [
            judged.filter(pl.col("outcome") != "superseded").select("row", "outcome"),
            late.select(
                "row",
                outcome=pl.when(pl.col("row").is_in(repeated.implode())).then(_is("unchanged")).otherwise(_is("superseded")),
            ),
            duplicate.select("row", outcome=_is("duplicate")),
        ]
    ).sort("row")
    return Merged(outcomes, before)


def _is(outcome: str) -> pl.Expr:
    return pl.lit(outcome, dtype=OUTCOME)


def _within_frame(numbered: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The newest row of each key, the older versions beside it, and repeats of either."""
    nothing = numbered.clear()
    # One source's keys tell all rows apart as a rule: far cheaper to see than that pairs do.
    if numbered["source_key"].n_unique() == numbered.height or numbered.select(pl.struct(_KEY).n_unique()).item() == numbered.height:
        return numbered, nothing, nothing
    distinct = numbered.unique(_IDENTITY, keep="last", maintain_order=True)
    newest = distinct.sort("source_version", "row").unique(_KEY, keep="last", maintain_order=True).sort("row")
    older = distinct.join(newest, on="row", how="anti").sort("row")
    return newest, older, numbered.join(distinct, on="row", how="anti")


def _against_current(conn: Writing, table: sa.Table, newest: pl.DataFrame) -> pl.DataFrame:
    """`newest` with its outcome and the current row's version and hash. Rows that are no news don't travel back."""
    _fill_probe(conn, newest)
    # The rows that are missing travel as one line: a page of new records would come back as a line for each of them.
    answer = read_frame(
        conn,
        "WITH found AS MATERIALIZED (SELECT p.row, c.source_key IS NULL AS missing, c.source_version, c.content_hash"
        f" FROM tidegate_probe p LEFT JOIN {_name(conn, table)} c ON {_same_key(conn, 'p', 'c')}"
        " WHERE c.source_key IS NULL OR c.source_version <> p.source_version OR c.content_hash <> p.content_hash)"
        " SELECT string_agg(row::text, ' ') AS rows, NULL AS current_version, NULL AS current_hash FROM found WHERE missing"
        " UNION ALL SELECT row::text, source_version, content_hash FROM found WHERE NOT missing",
        {"rows": pl.String, "current_version": pl.Int64, "current_hash": pl.Int64},
    )
    found = answer.drop_nulls("rows").select(
        pl.col("rows").str.split(" ").alias("row"), "current_version", "current_hash", pl.lit(value=True).alias("differs")
    )
    found = found.explode("row").with_columns(pl.col("row").cast(pl.UInt32))
    return newest.join(found, on="row", how="left", maintain_order="left").with_columns(
        outcome=pl.when(pl.col("differs").is_null())
        .then(_is("unchanged"))
        .when(pl.col("current_version").is_null())
        .then(_is("new"))
        .when(pl.col("source_version") >= pl.col("current_version"))
        .then(_is("changed"))
        .otherwise(_is("superseded"))
    )


def _against_history(conn: Writing, table: sa.Table, history: sa.Table, late: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Row numbers of older versions that aren't recorded anywhere yet, and of those that repeat the current row."""
    if late.is_empty():
        return late["row"], late["row"]
    _fill_probe(conn, late)
    same = "AND {0}.source_version = p.source_version AND {0}.content_hash = p.content_hash"
    found = read_frame(
        conn,
        "SELECT p.row, c.source_key IS NOT NULL AS repeats FROM tidegate_probe p"
        f" LEFT JOIN {_name(conn, table)} c ON {_same_key(conn, 'p', 'c')} {same.format('c')}"
        f" WHERE c.source_key IS NOT NULL OR EXISTS (SELECT FROM {_name(conn, history)} h"
        f" WHERE {_same_key(conn, 'p', 'h')} {same.format('h')})",
        {"row": pl.UInt32, "repeats": pl.Boolean},
    )
    return late.join(found, on="row", how="anti").sort("row")["row"], found.filter("repeats")["row"]


def _fill_probe(conn: Writing, rows: pl.DataFrame) -> None:
    driver(conn).execute(
        "CREATE TEMP TABLE IF NOT EXISTS tidegate_probe (row bigint, source text, source_key text,"
        " source_version bigint, content_hash bigint) ON COMMIT DELETE ROWS; TRUNCATE tidegate_probe;"
        " SET LOCAL work_mem = '64MB'"
    )
    copy_into(conn, _PROBE, rows.select("row", *_IDENTITY))


def _replace(
    conn: Writing,
    table: sa.Table,
    history: sa.Table,
    *,
    rows: pl.DataFrame,
    expected: pl.DataFrame,
    now: datetime,
) -> pl.DataFrame:
    """Put `rows` in the place of the current ones, which move to `history` and are returned."""
    schema = _frame_schema(table, rows.schema)
    if rows.is_empty():
        return pl.DataFrame(schema=schema)
    connection = driver(conn)
    connection.execute(
        sql.SQL("DROP TABLE IF EXISTS pg_temp.{0}; CREATE TEMP TABLE {0} ON COMMIT DROP AS SELECT {1} FROM {2} WITH NO DATA").format(
            _STAGE, columns_sql(rows.columns), identifier(table)
        )
    )
    copy_into(conn, _STAGE, rows)
    before = read_frame(
        conn,
        f"SELECT c.* FROM {_name(conn, table)} c JOIN tidegate_stage s ON {_same_key(conn, 'c', 's')}"
        " ORDER BY c.source, c.source_key FOR UPDATE OF c",
        schema,
    )
    _check_unmoved(table, before, expected)
    kept = [column.name for column in table.columns]
    same_key = _SAME_KEY.format(sql.Identifier("c"), sql.Identifier("s"))
    connection.execute(
        sql.SQL("INSERT INTO {} ({}, superseded_at) SELECT {}, {} FROM {} c JOIN {} s ON {}").format(
            identifier(history),
            columns_sql(kept),
            columns_sql(kept, "c"),
            now,
            identifier(table),
            _STAGE,
            same_key,
        )
    )
    settings = [sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in rows.columns if name not in _KEY]
    connection.execute(
        sql.SQL("UPDATE {} c SET {}, recorded_at = {} FROM {} s WHERE {}").format(
            identifier(table), sql.SQL(", ").join(settings), now, _STAGE, same_key
        )
    )
    return before


def _check_unmoved(table: sa.Table, before: pl.DataFrame, expected: pl.DataFrame) -> None:
    """The rows just locked must still be the ones that the probe saw."""
    seen = expected.select(*_KEY, source_version="current_version", content_hash="current_hash")
    moved = seen.join(before.select(_IDENTITY), on=_IDENTITY, how="anti")
    if not moved.is_empty():
        first = moved.row(0, named=True)
        raise Contended(
            f"{table.fullname}: {moved.height} records, {first['source']} {first['source_key']} among them, "
            "were changed by another transaction meanwhile"
        )


def _frame_schema(table: sa.Table, given: pl.Schema) -> dict[str, Any]:
    """The types in which old rows are returned: the frame's own, so that old and new can be compared."""
    return {
        column.name: given.get(column.name, pl.Datetime("us", "UTC")) if column.name != "recorded_at" else pl.Datetime("us", "UTC")
        for column in table.columns
    }


def _name(conn: Writing, table: sa.Table) -> str:
    return identifier(table).as_string(driver(conn))


def _same_key(conn: Writing, one: str, other: str) -> str:
    return _SAME_KEY.format(sql.Identifier(one), sql.Identifier(other)).as_string(driver(conn))

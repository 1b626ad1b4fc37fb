"""The only door from SQL to Polars: named questions, each with its declared columns, asked of one set of facts.

A set of facts is chosen by one argument, `Bound`: the newest version of every record as it is now, as it was known here
at a moment, or as the sources already knew it then. A question names facts as `{invoice}`; the bound decides what stands there,
so no question and no measure knows which set it got.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import Any, Literal

import polars as pl
from psycopg import sql

from db.engine import Reading, Writing, driver
from db.money import AMOUNT
from db.schema import canonical

MOMENT = pl.Datetime("us", "UTC")
RATE = pl.Decimal(18, 8)

_FACT = re.compile(r"\{([a-z_]+)\}")
_ONLY = re.compile(r"\{only\(([^()]+)\)\}")
_QUERY = re.compile(r"\{query\(([a-z_]+)\)\}")
_RATE = re.compile(r"\{rate\(([a-z_.]+), ((?:[^()]|\([a-z_]+\))+)\)\}")


class FrameMismatch(RuntimeError):
    """A query answered with other columns than its question declares; the message names both."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Which facts: `now` all that is known, `known` what was known here at `at`, `source` what the sources knew at `at` (UTC).

    A fact counts as known at T when it was recorded by then; one that came as history, when its source stamped it by then.
    """

    clock: Literal["now", "known", "source"] = "now"
    at: datetime | None = None

    def __post_init__(self) -> None:
        if (self.at is None) != (self.clock == "now"):
            raise ValueError(f"the set of facts {self.clock!r} {'needs' if self.at is None else 'takes no'} moment")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError(f"{self.at.isoformat()} has no time zone: business times are aware")


NOW = Bound()


def known(at: datetime) -> Bound:
    """K(T): what was known here at `at` (aware)."""
    return Bound("known", at.astimezone(UTC))


def source_knew(at: datetime) -> Bound:
    """S(T): what the sources already knew at `at` (aware)."""
    return Bound("source", at.astimezone(UTC))


def end_of(day: date) -> datetime:
    """The moment at which the business day `day` is over, UTC."""
    return datetime.combine(day + timedelta(days=1), time.min, UTC)


@dataclass(frozen=True, slots=True)
class Where:
    """Whose facts: one connection's, or all; of some regions, or all."""

    connection: str | None = None
    regions: frozenset[str] | None = None


EVERYTHING = Where()


@dataclass(frozen=True, slots=True)
class Question:
    """A query by its name (the file `queries/<name>.sql`) and the columns it answers with, in order."""

    name: str
    columns: Mapping[str, pl.DataType | type[pl.DataType]]


Keys = Sequence[tuple[str, str]]
"""Records by source and key."""


def ask(
    conn: Reading, question: Question, *, bound: Bound = NOW, where: Where = EVERYTHING, only: Keys | None = None, **values: Any
) -> pl.DataFrame:
    """The answer to `question` over the facts that `bound` and `where` choose; `values` are the query's own parameters.

    `only` cuts the queries that offer it to these records. Raises FrameMismatch when the answer's columns are not the declared ones.
    """
    return _checked(question, _copied(conn, render(_text(question.name), bound, cut=only is not None), _given(bound, where, only, values)))


def run(conn: Writing, name: str, *, only: Keys | None = None, **values: Any) -> int:
    """Run the named statement over the facts as they are now, for its effect on `measure`; returns how many rows it touched."""
    return driver(conn).execute(statement(name, cut=only is not None), _given(NOW, EVERYTHING, only, values)).rowcount


def statement(name: str, *, cut: bool = False) -> bytes:
    """The named statement over the facts as they are now, ready for the driver; `cut` as in `render`."""
    return render(_text(name), NOW, cut=cut).encode()


def render(text: str, bound: Bound, *, cut: bool = False) -> str:
    """The query with its words replaced:

    `{query(name)}` by another query, `{ledger}` by the invoices (now: as the read model keeps them), `{entity}` by that entity's versions under `bound`, `{only(a, b)}` by the condition that cuts to
    the records asked for, `{rate(currency, day)}` by what turns an amount into the reporting currency (parameter `reporting`): the
    reference rate of that day or the last before it, null when there is none.
    """
    ledger = "measure.invoice_fact" if bound.clock == "now" else "({query(invoices)})"
    whole = text
    while _QUERY.search(whole) or "{ledger}" in whole:
        whole = _QUERY.sub(lambda found: _text(found.group(1)), whole.replace("{ledger}", ledger))
    rated = _RATE.sub(lambda found: _rate(found.group(1), found.group(2)), whole)
    chosen = "({}) in (select * from unnest(%(only_sources)s::text[], %(only_keys)s::text[]))" if cut else "true"
    kept = _ONLY.sub(lambda found: chosen.format(found.group(1)), rated)
    return _FACT.sub(lambda found: f"({_versions(found.group(1), bound.clock)})", kept)


def empty(question: Question) -> pl.DataFrame:
    """A frame of the question's columns without rows."""
    return pl.DataFrame(schema=dict(question.columns))


@cache
def _text(name: str) -> str:
    return resources.files("metrics").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


def _given(bound: Bound, where: Where, only: Keys | None, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **values,
        "bound_at": bound.at,
        "connection": where.connection,
        "regions": _regions(where),
        "only_sources": [source for source, _ in only or ()],
        "only_keys": [key for _, key in only or ()],
    }


def _regions(where: Where) -> list[str] | None:
    return None if where.regions is None else sorted(where.regions)


_UNDER: dict[str, str] = {
    "now": "true",
    "known": "(recorded_at <= %(bound_at)s or (backfilled and changed_at <= %(bound_at)s))",
    "source": "changed_at <= %(bound_at)s",
}


@cache
def _versions(entity: str, clock: Literal["now", "known", "source"]) -> str:
    """The newest version of every record under the bound, deleted ones left out."""
    if entity not in canonical.ENTITIES:
        raise KeyError(f"{entity!r} is no canonical entity")
    columns = ", ".join(column.name for column in canonical.ENTITIES[entity].columns)
    mine = (
        "(%(connection)s::text is null or source = %(connection)s::text)"
        " and (%(regions)s::text[] is null or region = any(%(regions)s::text[]))"
    )
    if clock == "now":
        return f"select {columns} from canonical.{entity} where not is_deleted and {mine}"
    under = _UNDER[clock]
    # A record's current version is newer than any of its history, so history is asked only where the current one is too new.
    return f"""
      select {columns} from (
        select {columns} from canonical.{entity} where {under} and {mine}
        union all
        (select distinct on (source, source_key) {columns} from canonical.{entity}_history old
         where {under} and {mine} and not exists (
           select from canonical.{entity} now where now.source = old.source and now.source_key = old.source_key
             and {under.replace("recorded_at", "now.recorded_at").replace("backfilled", "now.backfilled").replace("changed_at", "now.changed_at")})
         order by source, source_key, source_version desc, recorded_at desc, superseded_at desc)
      ) versions where not is_deleted"""


def _rate(currency: str, day: str) -> str:
    """SQL for the factor into the reporting currency. `currency` is qualified: a bare `currency` would mean the rate's own column."""
    if "." not in currency:
        raise ValueError(f"rate({currency}, {day}): name the table too")

    def units(code: str) -> str:
        return (
            f"(case when {code} = 'EUR' then 1 else (select r.units_per_eur from canonical.fx_rate r where r.currency = {code}"
            f" and r.rate_date <= {day} and not r.is_deleted order by r.rate_date desc, r.precedence, r.source limit 1) end)"
        )

    return f"(case when {currency} = %(reporting)s then 1 else {units('%(reporting)s')} / {units(currency)} end)"


def _copied(conn: Reading, statement: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
    buffer = io.BytesIO()
    composed = sql.SQL("copy ({}) to stdout (format csv, header true)").format(sql.SQL(statement))
    with driver(conn).cursor() as cursor, cursor.copy(composed, parameters) as copy:
        for block in copy:
            buffer.write(block)
    buffer.seek(0)
    return pl.read_csv(buffer, infer_schema=False)


def _checked(question: Question, answer: pl.DataFrame) -> pl.DataFrame:
    if answer.columns != list(question.columns):
        raise FrameMismatch(f"query {question.name} answers {answer.columns}, its question declares {list(question.columns)}")
    return answer.select(_typed(name, kind) for name, kind in question.columns.items())


def _typed(name: str, kind: pl.DataType | type[pl.DataType]) -> pl.Expr:
    column = pl.col(name)
    if kind == pl.String:
        return column
    if kind == pl.Boolean:
        return column == "t"
    if kind == pl.Date:
        return column.str.to_date("%Y-%m-%d")
    if kind == MOMENT:
        return column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_zone="UTC", time_unit="us")
    return column.cast(kind)


__all__ = [
    "AMOUNT",
    "EVERYTHING",
    "MOMENT",
    "NOW",
    "RATE",
    "Bound",
    "FrameMismatch",
    "Keys",
    "Question",
    "Where",
    "ask",
    "empty",
    "end_of",
    "known",
    "render",
    "run",
    "source_knew",
    "statement",
]  # fmt: skip

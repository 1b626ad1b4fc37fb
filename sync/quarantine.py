"""What can't pass: kept with its cause, its evidence and the money at risk, one row per record and cause, never dropped.

The same record failing for the same reason again is the same exception. One that was resolved and comes back is `regressed`. A
record that lands well later resolves its exceptions by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa
from psycopg import sql

from db.copying import copy_into
from db.engine import Writing, driver
from db.money import AMOUNT
from sync import fx, sla
from sync.canonical.causes import CAUSES, Cause
from sync.fingerprint import VERSION as FINGERPRINT_VERSION
from sync.fingerprint import fingerprint

OPEN_STATES = ("new", "acknowledged", "waiting", "replaying", "regressed")
LANDED = "landed on its own"
RECOVERED = "the source recovered"
EDITED = "landed with an edit"
WELL_SINCE = "it came well since"
_REJECTS: dict[str, pl.DataType] = {
    "identity": pl.String(),
    "fingerprint": pl.String(),
    "cause": pl.String(),
    "severity": pl.String(),
    "kind": pl.String(),
    "stream": pl.String(),
    "legal_entity": pl.String(),
    "entity": pl.String(),
    "source_key": pl.String(),
    "source_version": pl.Int64(),
    "raw_record_id": pl.Int64(),
    "customer_key": pl.String(),
    "money_at_risk": AMOUNT,
    "currency": pl.String(),
    "money_at_risk_reporting": AMOUNT,
    "message": pl.String(),
    "hint": pl.String(),
    "evidence": pl.String(),
    "due_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where rejects come from, and in which currency their worth is compared."""

    connection: str
    stream: str
    region: str
    reporting_currency: str


def add(conn: Writing, place: Place, rejects: pl.DataFrame, *, now: datetime, kind: str = "record") -> int:
    """Writes rejects (REJECT_SCHEMA columns, `raw_record_id`, and where known `source_version`, `legal_entity`) as exceptions.

    Returns how many exceptions are new or have come back. `now` is business time.
    """
    if rejects.is_empty():
        return 0
    ready = _prepare(conn, place, rejects, now, kind)
    staging = sql.Identifier("pg_temp", "tidegate_rejects")
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_sql_type(dtype))) for name, dtype in _REJECTS.items()
    )
    driver(conn).execute(
        sql.SQL("drop table if exists {0}; create temp table tidegate_rejects ({1}) on commit drop").format(staging, columns)
    )
    copy_into(conn, staging, ready)
    driver(conn).execute("analyze pg_temp.tidegate_rejects")
    values = {"connection": place.connection, "region": place.region, "now": now, "version": FINGERPRINT_VERSION}
    # Fresh statistics on thousands of rows just written are not to be had: a nested loop over them would take minutes.
    conn.execute(sa.text("set local enable_nestloop = off"))
    back = conn.execute(sa.text(_REPEAT), values).rowcount
    fresh = conn.execute(sa.text(_INSERT), values).rowcount
    conn.execute(sa.text("set local enable_nestloop = on"))
    return back + fresh


# One text that says which exception a reject is: compared as a whole, so that ten thousand are joined by one hash.
_KNOWN = """
with known as materialized (
  select id, fingerprint || '|' || coalesce(entity, '') || '|' || kind || '|'
    || coalesce(nullif(source_key, ''), raw_record_id::text, '') as identity
  from process.exception where connection = :connection and fingerprint = any(select fingerprint from tidegate_rejects)
), last as materialized (
  select distinct on (identity) * from tidegate_rejects order by identity, raw_record_id desc
)
"""
# The same bytes read again say nothing new; neither does a broken original that was resolved by an edited copy. What has no bytes, as an
# outage, is told because it is so now; so is what came well in between and does no more.
_REPEAT = f"""
{_KNOWN}
update process.exception e set
  state = case
    when e.state = 'resolved' then 'regressed'
    when e.state = 'dismissed' and e.dismissed_until <= :now then 'new'
    else e.state end,
  regressed_from = case when e.state = 'resolved' then e.resolution else e.regressed_from end,
  resolved_at = case when e.state = 'resolved' then null else e.resolved_at end,
  resolution = case when e.state = 'resolved' then null else e.resolution end,
  occurrences = e.occurrences + 1, last_seen = :now, raw_record_id = r.raw_record_id,
  source_version = coalesce(r.source_version, e.source_version), message = r.message, evidence = r.evidence::jsonb,
  money_at_risk = r.money_at_risk, currency = r.currency, money_at_risk_reporting = r.money_at_risk_reporting
from known k, last r
where k.identity = r.identity and e.id = k.id
  and (r.raw_record_id is null or e.raw_record_id is distinct from r.raw_record_id or (e.state = 'resolved' and e.resolution = '{WELL_SINCE}'))
  and not (e.evidence - 'note' = r.evidence::jsonb - 'note'
           and (e.state not in ('resolved', 'dismissed') or e.resolution like '{EDITED}%'))
"""

_INSERT = f"""
{_KNOWN}
insert into process.exception (fingerprint, fingerprint_version, cause, severity, state, kind, connection, stream, region,
  legal_entity, entity, source_key, source_version, raw_record_id, customer_key, customer_name, money_at_risk, currency,
  money_at_risk_reporting, message, hint, evidence, first_seen, last_seen, due_at)
select r.fingerprint, :version, r.cause, r.severity, 'new', r.kind, :connection, r.stream, :region,
  r.legal_entity, r.entity, r.source_key, r.source_version, r.raw_record_id, r.customer_key, c.name, r.money_at_risk, r.currency,
  r.money_at_risk_reporting, r.message, r.hint, r.evidence::jsonb, :now, :now, r.due_at
from last r left join known k on k.identity = r.identity
left join canonical.customer c on c.source = :connection and c.source_key = r.customer_key
where k.id is null
"""


def _prepare(conn: Writing, place: Place, rejects: pl.DataFrame, now: datetime, kind: str) -> pl.DataFrame:
    marks = rejects.select("cause", "entity", "field").unique(maintain_order=True)
    marks = marks.with_columns(
        pl.Series(
            "fingerprint",
            [fingerprint(row["cause"], place.connection, row["entity"], row["field"]) for row in marks.iter_rows(named=True)],
            dtype=pl.String,
        ),
        pl.Series("severity", [_cause(slug).severity for slug in marks["cause"]], dtype=pl.String),
        pl.Series("hint", [_cause(slug).hint for slug in marks["cause"]], dtype=pl.String),
        pl.Series("due_at", [sla.due(_cause(slug).severity, now) for slug in marks["cause"]], dtype=_REJECTS["due_at"]),
    )
    have = set(rejects.columns)
    optional = [pl.lit(None, dtype=_REJECTS[name]).alias(name) for name in ("source_version", "legal_entity") if name not in have]
    rates = fx.rates_at(conn, now.date())
    return (
        rejects.join(marks, on=["cause", "entity", "field"], how="left", nulls_equal=True, maintain_order="left")
        .with_columns(*optional)
        .with_columns(
            pl.lit(kind).alias("kind"),
            pl.lit(place.stream).alias("stream"),
            pl.col("amount").abs().alias("money_at_risk"),
            pl.when(pl.col("currency").str.contains("^[A-Z]{3}$")).then(pl.col("currency")).alias("currency"),
            pl.col("evidence").fill_null("{}").str.replace_all("\\u0000", "\\ufffd", literal=True),
            pl.col("message", "source_key", "customer_key").str.replace_all("\x00", "\ufffd", literal=True),
        )
        .with_columns(_reporting(rejects, rates, place.reporting_currency), _identity())
        .select([pl.col(name).cast(dtype) for name, dtype in _REJECTS.items()])
    )


def _identity() -> pl.Expr:
    """Group, entity, kind and key in one text; a record without a key is its bytes."""
    named = pl.col("source_key").is_not_null() & (pl.col("source_key") != "")
    key = pl.when(named).then(pl.col("source_key")).otherwise(pl.col("raw_record_id").cast(pl.String).fill_null(""))
    return pl.concat_str("fingerprint", pl.col("entity").fill_null(""), "kind", key, separator="|").alias("identity")


def _cause(slug: str) -> Cause:
    return CAUSES.get(slug) or CAUSES["bad_value"]


def _reporting(rejects: pl.DataFrame, rates: Mapping[str, tuple[Decimal, Any]], reporting: str) -> pl.Series:
    """The worth of each reject in the reporting currency, to the cent; null where no rate is known."""
    target = rates.get(reporting)
    worth: list[Decimal | None] = []
    for amount, code in rejects.select("amount", "currency").iter_rows():
        rate = rates.get(code or "")
        if amount is None or code is None:
            worth.append(None)
        elif code == reporting:
            worth.append(abs(amount))
        elif rate is None or target is None:
            worth.append(None)
        else:
            worth.append((abs(amount) / rate[0] * target[0]).quantize(Decimal("0.01")))
    return pl.Series("money_at_risk_reporting", worth, dtype=AMOUNT)


def _sql_type(dtype: pl.DataType) -> str:
    if dtype == pl.String():
        return "text"
    if dtype == pl.Int64():
        return "bigint"
    if isinstance(dtype, pl.Datetime):
        return "timestamptz"
    return "numeric(19,4)"


def waiting_keys(conn: Writing, connection: str) -> pl.DataFrame:
    """(entity, source_key) of the records of `connection` whose exceptions are open, not under a replay."""
    rows = conn.execute(
        sa.text(
            "select distinct entity, source_key from process.exception where connection = :connection and kind = 'record'"
            " and source_key is not null and cause <> 'ambiguous_identity' and state in ('new', 'acknowledged', 'waiting', 'regressed')"
        ),
        {"connection": connection},
    ).all()
    return pl.DataFrame(
        {"entity": [row.entity for row in rows], "source_key": [row.source_key for row in rows]},
        schema={"entity": pl.String, "source_key": pl.String},
    )


def landed(conn: Writing, connection: str, entity: str, rows: pl.DataFrame, *, now: datetime) -> int:
    """Resolves the open exceptions of records that landed as new or changed: `rows` has source_key and source_version.

    An exception about a newer version than the one that landed stays open. Returns how many were resolved.
    """
    if rows.is_empty():
        return 0
    return conn.execute(
        sa.text(
            "update process.exception e set state = 'resolved', resolved_at = :now, resolution = :resolution"
            " from unnest(cast(:keys as text[]), cast(:versions as bigint[])) as l(source_key, source_version)"
            " where e.connection = :connection and e.kind = 'record' and e.entity = :entity and e.source_key = l.source_key"
            " and (e.source_version is null or e.source_version <= l.source_version)"
            " and e.cause <> 'ambiguous_identity' and e.state in ('new', 'acknowledged', 'waiting', 'regressed')"
        ),
        {
            "now": now,
            "resolution": LANDED,
            "connection": connection,
            "entity": entity,
            "keys": rows["source_key"].to_list(),
            "versions": rows["source_version"].to_list(),
        },
    ).rowcount


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong with a whole stream or file: the cause, in words, with evidence and, for a file, its raw record."""

    cause: str
    message: str
    kind: str = "stream"
    subject: str | None = None
    raw_record_id: int | None = None
    evidence: Mapping[str, object] | None = None


def trouble(conn: Writing, place: Place, items: Sequence[Trouble], *, now: datetime) -> int:
    """Writes stream and file troubles as exceptions, one per stream and cause or per file; returns how many are new or back."""
    count = 0
    for kind in sorted({item.kind for item in items}):
        some = [item for item in items if item.kind == kind]
        frame = pl.DataFrame(
            {
                "ordinal": [0] * len(some),
                "entity": [place.stream] * len(some),
                "source_key": [item.subject or place.stream for item in some],
                "cause": [item.cause for item in some],
                "field": [None] * len(some),
                "message": [item.message for item in some],
                "evidence": [json.dumps(dict(item.evidence or {}), default=str) for item in some],
                "customer_key": [None] * len(some),
                "amount": pl.Series([None] * len(some), dtype=AMOUNT),
                "currency": pl.Series([None] * len(some), dtype=pl.String),
                "raw_record_id": pl.Series([item.raw_record_id for item in some], dtype=pl.Int64),
            },
            schema_overrides={"field": pl.String, "customer_key": pl.String},
        )
        count += add(conn, place, frame, now=now, kind=kind)
    return count


def recovered(conn: Writing, connection: str, stream: str, *, now: datetime) -> int:
    """Resolves what was open about the stream itself: it answers again. A file that should have come is another matter."""
    return conn.execute(
        sa.text(
            "update process.exception set state = 'resolved', resolved_at = :now, resolution = :resolution"
            " where connection = :connection and stream = :stream and kind = 'stream' and cause not in ('file_late', 'file_missing')"
            " and state not in ('resolved', 'dismissed')"
        ),
        {"now": now, "resolution": RECOVERED, "connection": connection, "stream": stream},
    ).rowcount

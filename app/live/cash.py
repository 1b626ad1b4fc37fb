"""Cash & forecast: will there be enough, and why were we wrong?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from app.desk import Cash, CashFilter, Tile
from app.live import variance_kept
from app.live.accuracy import accuracy_tile, by_horizon
from app.live.figures import answer_tile
from app.live.receivables import where_of
from db.engine import Reading
from db.money import AMOUNT
from metrics import freshness, reads
from metrics.frames import Where
from metrics.hindsight import Explained
from metrics.variance import Bridge
from sync.connections import Landscape

WINDOW_DAYS = 7
SYNC_STEP = "Sync delay"
CAUSES: Mapping[str, str] = {"timing": "Timing", "rest": "Amount", "fx": "Currency", "unforecast": "Unforecast", "missed": "Missed"}
_ITEMS: dict[str, Any] = {
    "number": pl.String,
    "customer": pl.String,
    "expected": pl.Date,
    "actual": pl.Date,
    "amount": AMOUNT,
    "cause": pl.String,
    "connection": pl.String,
    "late_by": pl.String,
    "raw_record_id": pl.Int64,
}


def answer(
    conn: Reading,
    landscape: Landscape,
    query: CashFilter,
    *,
    regions: frozenset[str] | None,
    now: datetime,
    known_at: datetime | None,
) -> Cash:
    """The page: positions, the fan ahead, and the bridge of the last seven whole days."""
    at = known_at or now
    currency = landscape.reporting_currency
    where = where_of(query.regions)
    positions = _cut(reads.positions(conn, reporting_currency=currency, known_at=known_at, where=where), query)
    entities = [query.legal_entity] if query.legal_entity else None
    lines = reads.newest_forecast(conn, at=at, where=where, legal_entities=entities, currency=query.currency)
    minimum = landscape.minimum_cash.get(currency)
    whole = not (query.regions or query.legal_entity or query.currency or regions is not None)
    fan = reads.fan(lines, positions, minimum=Decimal(minimum) if minimum and whole else None)
    explained = _explain(conn, query, where, at=at, currency=currency, regions=regions)
    watermark = freshness.watermark(conn)
    horizons = by_horizon(conn, at=at, currency=currency, regions=regions)
    return Cash(
        as_of=at,
        currency=currency,
        rate_date=reads.rate_date(conn, at.date()),
        settling=watermark is None or at > watermark,
        figures=_figures(conn, positions, fan, explained, at=at, currency=currency, regions=regions),
        positions=positions,
        fan=fan.select("week", "p10", "p50", "p90", "minimum"),
        bridge=_bridge(explained),
        bridge_items=_items(conn, explained, query.cause),
        accuracy=horizons.select(
            (pl.col("horizon").cast(pl.String) + pl.when(pl.col("horizon") == 1).then(pl.lit(" week")).otherwise(pl.lit(" weeks"))).alias(
                "horizon"
            ),
            "wape",
            "bias",
            "inflow",
        ),
        window=explained.window if explained.bridge is not None else None,
        notes=_notes(explained, lines),
    )


def _cut(positions: pl.DataFrame, query: CashFilter) -> pl.DataFrame:
    if query.legal_entity:
        positions = positions.filter(pl.col("legal_entity") == query.legal_entity)
    return positions.filter(pl.col("currency") == query.currency) if query.currency else positions


def _explain(conn: Reading, query: CashFilter, where: Where, *, at: datetime, currency: str, regions: frozenset[str] | None) -> Explained:
    last = at.date() - timedelta(days=1)
    window = (last - timedelta(days=WINDOW_DAYS - 1), last)
    cut_off = datetime.combine(window[0] - timedelta(days=1), time.max, UTC)
    return variance_kept.explained(
        conn,
        window=window,
        cut_off=cut_off,
        at=at,
        reporting_currency=currency,
        where=where,
        legal_entity=query.legal_entity,
        currency=query.currency,
        regions=regions,
    )


def _bridge(explained: Explained) -> pl.DataFrame:
    """Forecast as known, the causes as they would be without delay, what delay did, actual as known: the bars add up exactly."""
    schema: dict[str, Any] = {"step": pl.String, "amount": AMOUNT, "kind": pl.String}
    if explained.bridge is None or explained.undelayed is None or explained.sync is None:
        return pl.DataFrame(schema=schema)
    rows = [("Forecast", explained.bridge.forecast, "total")]
    rows += [(words, explained.undelayed.causes[cause], "cause") for cause, words in CAUSES.items()]
    rows += [(SYNC_STEP, explained.sync.amount, "sync"), ("Actual", explained.bridge.actual, "total")]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _items(conn: Reading, explained: Explained, cause: str | None) -> pl.DataFrame:
    """The items behind a bar, largest first."""
    if cause is None or explained.undelayed is None:
        return pl.DataFrame(schema=_ITEMS)
    names = _party_names(conn)
    if cause == SYNC_STEP:
        rows = _late_rows(explained, names)
    else:
        column = next((name for name, words in CAUSES.items() if words == cause), None)
        rows = [] if column is None else _cause_rows(explained.undelayed, column, cause, names)
    return pl.DataFrame(rows, schema=_ITEMS, orient="row").sort(pl.col("amount").abs(), descending=True)


def _cause_rows(bridge: Bridge, column: str, cause: str, names: Mapping[int, str]) -> list[tuple[Any, ...]]:
    return [
        (
            row["invoice_number"] or row["item_key"],
            names.get(row["party_id"]),
            row["expected_date"],
            row["actual_date"],
            row[column],
            cause,
            row["source"],
            None,
            row["raw_record_id"],
        )
        for row in bridge.items.filter(pl.col(column) != 0).iter_rows(named=True)
    ]


def _late_rows(explained: Explained, names: Mapping[int, str]) -> list[tuple[Any, ...]]:
    return [
        (
            row["invoice_number"] or row["item_key"],
            names.get(row["party_id"]),
            None,
            row["changed_at"].date() if row["changed_at"] else None,
            row["amount"],
            row["part"],
            row["source"],
            _lateness(row),
            row["raw_record_id"],
        )
        for row in explained.late.iter_rows(named=True)
    ]


def _lateness(row: Mapping[str, Any]) -> str:
    if row["changed_at"] is None or row["recorded_at"] is None:
        return row["cause"] or "late"
    hours = (row["recorded_at"] - row["changed_at"]).total_seconds() / 3600
    return f"{hours:.1f} h: {row['cause'] or 'synchronisation'}"


def _party_names(conn: Reading) -> Mapping[int, str]:
    return {row.id: row.name for row in conn.execute(sa.text("select id, name from canonical.party"))}


def _figures(
    conn: Reading,
    positions: pl.DataFrame,
    fan: pl.DataFrame,
    explained: Explained,
    *,
    at: datetime,
    currency: str,
    regions: frozenset[str] | None,
) -> list[Tile]:
    rated = positions["amount_reporting"].drop_nulls()
    held = Decimal(rated.sum()) if len(rated) else None
    lowest = fan.sort("p10").row(0, named=True) if fan.height else None
    return [
        answer_tile("cash_position", held, currency, page="cash", now=at, missing="no bank balance yet", health="good",
                    second_line=f"{positions.height} accounts"),
        answer_tile("lowest_position", lowest["p10"] if lowest else None, currency, page="cash", now=at, title="Lowest position ahead (p10)",
                    missing="there is no forecast yet", health=_headroom(lowest), second_line=f"week of {lowest['week']}" if lowest else None,
                    good="up", definition="The lowest end-of-week position of the next 13 weeks that nine in ten forecasts stay above."),
        accuracy_tile(conn, at=at, currency=currency, regions=regions),
        answer_tile("forecast_sync_share", explained.sync.amount if explained.sync else None, currency, page="cash", now=at,
                    title="Variance caused by sync delay", missing=explained.why_missing, health="good",
                    second_line="last 7 whole days"),
    ]  # fmt: skip


def _headroom(lowest: Mapping[str, Any] | None) -> Any:
    if lowest is None:
        return "unknown"
    if lowest["minimum"] is None:
        return "good"
    return "bad" if lowest["p10"] < lowest["minimum"] else "good"


def _notes(explained: Explained, lines: pl.DataFrame) -> Sequence[str]:
    notes = []
    if explained.unrated:
        notes.append(f"{explained.unrated} items have no reference rate into the reporting currency and are left out on both sides.")
    disputed = lines.filter(pl.col("category").str.contains("disput")) if lines.height else lines
    if disputed.height:
        notes.append(f"{disputed.height} disputed receivables stand apart from the forecast.")
    return notes

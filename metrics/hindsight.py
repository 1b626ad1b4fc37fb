"""Forecast against actual, asked of the facts: the bridge of a window, its synchronisation share, and accuracy by horizon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from db.engine import Reading
from db.money import AMOUNT
from metrics import forecast, variance
from metrics.frames import EVERYTHING, MOMENT, NOW, Bound, Question, Where, ask, known, source_knew
from metrics.outlook import expected, habits_of

ACTUALS = Question("actuals", variance.ACTUALS)
LATE = Question(
    "late_records",
    {
        "source": pl.String,
        "entity": pl.String,
        "source_key": pl.String,
        "item_key": pl.String,
        "changed_at": MOMENT,
        "recorded_at": MOMENT,
        "raw_record_id": pl.Int64,
        "cause": pl.String,
    },
)
PUBLISHED = Question(
    "published_lines",
    {
        "run_id": pl.Int64,
        "cut_off": MOMENT,
        "is_hindsight": pl.Boolean,
        "region": pl.String,
        "legal_entity": pl.String,
        "currency": pl.String,
        "expected_date": pl.Date,
        "amount_reporting": AMOUNT,
    },
)


@dataclass(frozen=True, slots=True)
class Explained:
    """A window's variance: the bridge as known at `at`, as it would have been without delay, what synchronisation did to it, and
    the late records behind that. Forecast as known + causes without delay + sync share = actual as known, exactly.

    `late` has the contributions joined to the record that was late: part, source, item_key, record_key, invoice_number, party_id,
    amount, entity, changed_at, recorded_at, cause, raw_record_id. `why_missing` is set when there is nothing to compare.
    """

    window: variance.Window
    cut_off: datetime
    at: datetime
    bridge: variance.Bridge | None
    undelayed: variance.Bridge | None
    sync: variance.SyncShare | None
    late: pl.DataFrame
    unrated: int
    why_missing: str | None


def actuals(
    conn: Reading, *, first_day: date, last_day: date, reporting_currency: str, bound: Bound = NOW, where: Where = EVERYTHING
) -> pl.DataFrame:
    """A: the cash that came and went from `first_day` to `last_day` (frame variance.ACTUALS), amounts at each day's rate."""
    return ask(conn, ACTUALS, bound=bound, where=where, reporting=reporting_currency, first_day=first_day, last_day=last_day)


def explain(
    conn: Reading,
    *,
    window: variance.Window,
    cut_off: datetime,
    at: datetime,
    reporting_currency: str,
    where: Where = EVERYTHING,
    legal_entity: str | None = None,
    currency: str | None = None,
) -> Explained:
    """Why cash in `window` was not as forecast at `cut_off`, as known at `at`, and the part of it that synchronisation delay caused.

    The forecast is F(K(cut_off)), made with the payment habits known then; the same habits serve F(S(cut_off)).
    """
    habit = habits_of(conn, on=cut_off.date(), bound=known(cut_off), reporting_currency=reporting_currency)

    def made(bound: Bound) -> pl.DataFrame:
        lines = expected(conn, habit=habit, cut_off=cut_off, bound=bound, where=where, reporting_currency=reporting_currency)
        return _cut(lines, legal_entity, currency)

    def came(bound: Bound) -> pl.DataFrame:
        # From the cut-off on: what came before the window took its part of the forecast out of it.
        first = min(cut_off.date() + timedelta(days=1), window[0])
        found = actuals(conn, first_day=first, last_day=at.date(), reporting_currency=reporting_currency, bound=bound, where=where)
        return _cut(found, legal_entity, currency)

    lines_known, actuals_known = made(known(cut_off)), came(known(at))
    if lines_known.is_empty() and actuals_known.is_empty():
        nothing = pl.DataFrame(schema={**variance.CONTRIBUTIONS, **_LATE_COLUMNS})
        return Explained(window, cut_off, at, None, None, None, nothing, 0, "there was nothing to expect and nothing came")
    lines_source, actuals_source = made(source_knew(cut_off)), came(source_knew(at))
    sync = variance.sync_share(actuals_known, actuals_source, lines_known, lines_source, window)
    return Explained(
        window=window,
        cut_off=cut_off,
        at=at,
        bridge=variance.bridge(lines_known, actuals_known, window),
        undelayed=variance.bridge(lines_source, actuals_source, window),
        sync=sync,
        late=_late(conn, sync.contributions, at, cut_off),
        unrated=variance.unrated(lines_known, actuals_known),
        why_missing=None,
    )


_LATE_COLUMNS: dict[str, pl.DataType] = {
    "entity": pl.String(),
    "changed_at": MOMENT,
    "recorded_at": MOMENT,
    "cause": pl.String(),
    "raw_record_id": pl.Int64(),
}


def _cut(frame: pl.DataFrame, legal_entity: str | None, currency: str | None) -> pl.DataFrame:
    if legal_entity is not None:
        frame = frame.filter(pl.col("legal_entity") == legal_entity)
    return frame if currency is None else frame.filter(pl.col("currency") == currency)


def _late(conn: Reading, contributions: pl.DataFrame, at: datetime, cut_off: datetime) -> pl.DataFrame:
    """The contributions with the late record that made each: its own at `at` for actuals, its item's at `cut_off` for the forecast."""
    if contributions.is_empty():
        return contributions.with_columns(pl.lit(None, kind).alias(name) for name, kind in _LATE_COLUMNS.items())
    of_actuals, of_forecast = (contributions.filter(pl.col("part") == part) for part in variance.PARTS)
    by_record = ask(conn, LATE, bound=source_knew(at)).unique(["source", "source_key"], keep="first", maintain_order=True)
    by_item = (
        ask(conn, LATE, bound=source_knew(cut_off)).sort("changed_at").unique(["source", "item_key"], keep="last", maintain_order=True)
    )
    first = of_actuals.join(
        by_record.drop("item_key"), left_on=["source", "record_key"], right_on=["source", "source_key"], how="left", maintain_order="left"
    )
    second = of_forecast.join(by_item.drop("source_key"), on=["source", "item_key"], how="left", maintain_order="left")
    columns = [*variance.CONTRIBUTIONS, *_LATE_COLUMNS]
    return pl.concat([first.select(columns), second.select(columns)])


def accuracy_by_horizon(conn: Reading, *, at: datetime, reporting_currency: str, where: Where = EVERYTHING) -> pl.DataFrame:
    """How good published forecasts were by horizon: horizon (weeks ahead, 1 to 13), inflow, wape, bias, mape, pairs.

    A pair is one week x legal entity x currency that is over by `at`: of the newest forecast published in each week, against what came.
    A forecast made in hindsight is measured by its receipts only: what treasury had planned then was never received here. Empty while
    no forecast is old enough.
    """
    lines = ask(conn, PUBLISHED, where=where, until=at, reporting=reporting_currency)
    if lines.is_empty():
        return _NO_ACCURACY
    week = pl.col("expected_date").dt.truncate("1w")
    runs = lines.select("run_id", "is_hindsight", pl.col("cut_off").dt.date().alias("made_on")).unique().sort("run_id")
    came = actuals(conn, first_day=runs["made_on"].min(), last_day=at.date(), reporting_currency=reporting_currency, where=where)  # type: ignore[arg-type]
    group = ["week", "legal_entity", "currency", "inflow"]
    forecasts = (
        lines.with_columns(week.alias("week"), (pl.col("amount_reporting") > 0).alias("inflow"))
        .group_by("run_id", *group)
        .agg(pl.col("amount_reporting").sum().alias("forecast"))
    )
    actual = (
        came.with_columns(pl.col("on_date").dt.truncate("1w").alias("week"), (pl.col("amount_reporting") > 0).alias("inflow"))
        .group_by(group)
        .agg(pl.col("amount_reporting").sum().alias("actual"))
    )
    weeks = runs.join(pl.concat([forecasts.select(group), actual.select(group)]).unique(), how="cross").filter(
        (pl.col("week") > pl.col("made_on"))
        & (pl.col("week") + pl.duration(days=7) <= at.date())
        & (pl.col("inflow") | ~pl.col("is_hindsight"))
    )
    pairs = (
        weeks.join(forecasts, on=["run_id", *group], how="left", nulls_equal=True)
        .join(actual, on=group, how="left", nulls_equal=True)
        .with_columns(
            pl.col("forecast").fill_null(0),
            pl.col("actual").fill_null(0),
            ((pl.col("week") - pl.col("made_on")).dt.total_days() // 7 + 1).alias("horizon"),
        )
    )
    return _by_horizon(pairs.filter(pl.col("horizon") <= forecast.WEEKS))


_NO_ACCURACY = pl.DataFrame(
    schema={"horizon": pl.Int64, "inflow": pl.Boolean, "wape": pl.Float64, "bias": pl.Float64, "mape": pl.Float64, "pairs": pl.Int64}
)


def _by_horizon(pairs: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for (horizon, inflow), group in sorted(pairs.group_by("horizon", "inflow"), key=lambda one: str(one[0])):
        found = variance.accuracy(group)
        rows.append(
            {"horizon": horizon, "inflow": inflow, "wape": found.wape, "bias": found.bias, "mape": found.mape, "pairs": found.pairs}
        )
    return pl.DataFrame(rows, schema=_NO_ACCURACY.schema).sort("horizon", "inflow")

"""Publishing the cash forecast: every version is kept with its cut-off and the payment habits it was made with."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
from psycopg import sql
from psycopg.types.json import Jsonb

from db.engine import Reading, Writing, driver
from db.money import AMOUNT
from metrics import forecast
from metrics.frames import EVERYTHING, NOW, RATE, Bound, Question, Where, ask, known

EVERY = timedelta(hours=6)
HINDSIGHT_WEEKS = 8

PAID = Question("paid", {"payer": pl.String, "region": pl.String, "days_past_due": pl.Int64})
RECEIPTS = Question(
    "receipts",
    {
        "source": pl.String,
        "item_key": pl.String,
        "region": pl.String,
        "legal_entity": pl.String,
        "category": pl.String,
        "party_id": pl.Int64,
        "payer": pl.String,
        "invoice_number": pl.String,
        "due_date": pl.Date,
        "amount": AMOUNT,
        "currency": pl.String,
        "rate": RATE,
    },
)
PLANNED = Question(
    "planned",
    {
        "source": pl.String,
        "item_key": pl.String,
        "region": pl.String,
        "legal_entity": pl.String,
        "category": pl.String,
        "invoice_source": pl.String,
        "invoice_key": pl.String,
        "expected_date": pl.Date,
        "amount": AMOUNT,
        "currency": pl.String,
        "confidence": pl.String,
        "rate": RATE,
    },
)


def habits_of(conn: Reading, *, on: date, bound: Bound = NOW, reporting_currency: str) -> pl.DataFrame:
    """The payment habits (frame HABITS) over what was paid in the two years before `on`."""
    return forecast.habits(ask(conn, PAID, bound=bound, on_date=on, reporting=reporting_currency))


def expected(
    conn: Reading,
    *,
    habit: pl.DataFrame,
    cut_off: datetime,
    bound: Bound = NOW,
    where: Where = EVERYTHING,
    reporting_currency: str,
) -> pl.DataFrame:
    """F: the forecast lines (frame LINES) that the facts under `bound` give with these habits, made at `cut_off`."""
    given: dict[str, Any] = {"on_date": cut_off.date(), "reporting": reporting_currency}
    receipts = ask(conn, RECEIPTS, bound=bound, where=where, **given)
    planned = ask(conn, PLANNED, bound=bound, where=where, **given)
    return forecast.expect(receipts, planned, habit, cut_off.date())


def publish_if_due(conn: Writing, *, now: datetime, reporting_currency: str) -> int | None:
    """A new forecast if the last one is older than EVERY; its run id, or None when it is not due or there is nothing to forecast."""
    last = driver(conn).execute("select max(cut_off) from measure.forecast_run").fetchone()
    if last is not None and last[0] is not None and now - last[0] < EVERY:
        return None
    return publish(conn, now=now, reporting_currency=reporting_currency)


def publish(conn: Writing, *, now: datetime, reporting_currency: str, cut_off: datetime | None = None) -> int | None:
    """Make and keep a forecast from what is known now, or from what was known at an earlier `cut_off`; returns its run id.

    None when there is nothing to forecast.
    """
    at, bound = (now, NOW) if cut_off is None else (cut_off, known(cut_off))
    habit = habits_of(conn, on=at.date(), bound=bound, reporting_currency=reporting_currency)
    lines = expected(conn, habit=habit, cut_off=at, bound=bound, reporting_currency=reporting_currency)
    if lines.is_empty():
        return None
    made = driver(conn).execute(
        "insert into measure.forecast_run (made_at, cut_off, reporting_currency, behaviour, items) values (%s, %s, %s, %s, %s) returning id",
        [now, at, reporting_currency, Jsonb(_published(habit, reporting_currency)), lines.height],
    )
    run_id = int(made.fetchall()[0][0])
    _copy(conn, lines.insert_column(0, pl.Series("run_id", [run_id] * lines.height, pl.Int64)))
    return run_id


def publish_past(conn: Writing, *, now: datetime, reporting_currency: str, weeks: int = HINDSIGHT_WEEKS) -> int | None:
    """The forecast of one past weekend that has none, from what was known then, so that accuracy is known from the first day.

    History that came by a backfill counts as known by its own dates. Returns the run id, or None when none is missing.
    """
    monday = now.date() - timedelta(days=now.date().weekday())
    # The last moment of each Sunday: nothing of the Monday was known, and the whole week is still ahead.
    wanted = [datetime.combine(monday - timedelta(weeks=back, days=1), time.max, UTC) for back in range(1, weeks + 1)]
    found = driver(conn).execute("select cut_off from measure.forecast_run where cut_off = any(%s)", [wanted])
    missing = sorted(set(wanted) - {cut_off for (cut_off,) in found})
    for cut_off in reversed(missing):
        run_id = publish(conn, now=now, reporting_currency=reporting_currency, cut_off=cut_off)
        if run_id is not None:
            return run_id
    return None


def habits_published(behaviour: dict[str, Any]) -> pl.DataFrame:
    """The habits (frame HABITS) that a forecast run was made with, from its `behaviour` document."""
    return pl.DataFrame(behaviour["habits"], schema=forecast.HABITS, orient="row")


def _published(habit: pl.DataFrame, reporting: str) -> dict[str, Any]:
    return {"version": 1, "reporting_currency": reporting, "habits": [list(row) for row in habit.rows()]}


def _copy(conn: Writing, lines: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    lines.write_csv(buffer, include_header=False)
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in lines.columns)
    with (
        driver(conn).cursor() as cursor,
        cursor.copy(sql.SQL("copy measure.forecast_line ({}) from stdin (format csv)").format(columns)) as copy,
    ):
        copy.write(buffer.getvalue())

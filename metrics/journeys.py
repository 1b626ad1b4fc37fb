"""One transaction from quote to cash, found by any number it has: its hops in three clocks and its gaps.

Between two hops lies business time; a record's way from its source to here is integration time; a case or an exception that was
open is human time. A hop that should have happened by now and has not is shown as a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from db.engine import Reading
from db.money import AMOUNT
from metrics import journey_waits
from metrics.frames import EVERYTHING, MOMENT, NOW, Bound, Question, Where, ask

OBJECTS = Question(
    "journey",
    {
        "kind": pl.String,
        "source": pl.String,
        "source_key": pl.String,
        "number": pl.String,
        "customer_key": pl.String,
        "customer_name": pl.String,
        "region": pl.String,
        "legal_entity": pl.String,
        "occurred_at": MOMENT,
        "occurred_on": pl.Date,
        "changed_at": MOMENT,
        "recorded_at": MOMENT,
        "backfilled": pl.Boolean,
        "amount": AMOUNT,
        "currency": pl.String,
        "raw_record_id": pl.Int64,
        "status": pl.String,
        "due_on": pl.Date,
        "belongs_to": pl.String,
    },
)
HITS = Question(
    "journey_search",
    {"number": pl.String, "kind": pl.String, "customer": pl.String, "on_date": pl.Date, "amount": AMOUNT, "currency": pl.String},
)

_ORDER = (
    "quote",
    "contract",
    "order",
    "decision",
    "request",
    "release",
    "delivery",
    "invoice",
    "posting",
    "payment",
    "clearing",
    "bank line",
)
_ZONES = timedelta(hours=14)
"""How far a business day may begin before, or end after, the day of UTC."""
_PLACE = {kind: place for place, kind in enumerate(_ORDER)}
_TITLES = {
    "quote": "Quote",
    "contract": "Contract activated",
    "order": "Order entered",
    "decision": "Credit decision",
    "request": "Change of the order",
    "release": "Order released",
    "delivery": "Goods issued",
    "invoice": "Invoice issued",
    "posting": "Posted",
    "payment": "Payment received",
    "clearing": "Invoice cleared",
    "bank line": "On the bank statement",
}

_OUTCOMES = {"hold": "asked for"}
"""What an outcome means where a person asked for a change."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step: when it happened and when we knew, and how long it took in each clock (seconds; None where it can't be told).

    `occurred_at` is a date where its system tells no more than the day; `placed_at` (UTC) is where it stands among the others.
    `is_gap`: it should have happened by now and has not; `words` say what is waited for.
    """

    kind: str
    title: str
    system: str | None
    number: str | None
    occurred_at: datetime | date | None
    placed_at: datetime
    changed_at: datetime | None
    recorded_at: datetime | None
    business_seconds: float | None
    integration_seconds: float | None
    human_seconds: float | None
    is_gap: bool
    words: str
    amount: Decimal | None
    currency: str | None
    raw_record_id: int | None


@dataclass(frozen=True, slots=True)
class Journey:
    """The transaction that `number` belongs to, hops in the order in which they happened. `slowest` is the hop that took longest."""

    number: str
    title: str
    customer: str | None
    region: str | None
    amount: Decimal | None
    currency: str | None
    hops: tuple[Hop, ...]
    slowest: str | None
    objects: pl.DataFrame


def find(conn: Reading, number: str, *, now: datetime, bound: Bound = NOW, where: Where = EVERYTHING) -> Journey | None:
    """The journey of any number: quote, contract, order, delivery, invoice, accounting document, payment or bank reference.

    None when nothing has that number under `bound`. Gaps are judged at `now`, or at the bound's moment.
    """
    objects = ask(conn, OBJECTS, bound=bound, where=where, number=number)
    if objects.is_empty():
        return None
    at = bound.at or now
    return assemble(number, objects, journey_waits.of(conn, objects, until=at), at)


def search(conn: Reading, beginning: str, *, most: int = 20, bound: Bound = NOW, where: Where = EVERYTHING) -> pl.DataFrame:
    """Numbers that begin with `beginning`: number, kind, customer, on_date, amount, currency; at most `most`."""
    escaped = beginning.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return ask(conn, HITS, bound=bound, where=where, beginning=f"{escaped}%", most=most)


def assemble(number: str, objects: pl.DataFrame, waits: pl.DataFrame, at: datetime) -> Journey:
    """The journey out of its objects (frame OBJECTS) and waits (frame `journey_waits.WAITS`), as it stands at `at`. Pure."""
    steps = [_step(row) for row in objects.iter_rows(named=True)]
    decided = pl.col("kind").is_in(["decision", "request"])
    steps += [_decided(row) for row in waits.filter(decided).iter_rows(named=True)]
    steps = sorted(_placed(steps), key=lambda hop: (hop.placed_at, _PLACE[hop.kind], hop.number or ""))
    hops = _timed(steps, journey_waits.human(objects, waits.filter(~decided), at))
    hops += _gaps(objects, waits, at)
    head = _head(objects)
    spans = {hop.title: sum(part or 0 for part in (hop.business_seconds, hop.integration_seconds, hop.human_seconds)) for hop in hops}
    return Journey(
        number=number,
        title=f"{head['kind'].capitalize()} {head['number']}",
        customer=next((name for name in objects["customer_name"].to_list() if name), None),
        region=head["region"],
        amount=head["amount"],
        currency=head["currency"],
        hops=tuple(hops),
        slowest=max(spans, key=lambda title: spans[title]) if any(spans.values()) else None,
        objects=objects,
    )


def _head(objects: pl.DataFrame) -> dict[str, Any]:
    rows = sorted(objects.iter_rows(named=True), key=lambda row: _PLACE[row["kind"]])
    return next((row for row in rows if row["kind"] in ("contract", "order", "invoice")), rows[0])


def _instant(moment: datetime | date | None) -> datetime:
    if moment is None:
        return datetime.max.replace(tzinfo=UTC)
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time(12), UTC)


def _placed(steps: Sequence[Hop]) -> list[Hop]:
    """The steps, those of which only the day is known put where they can have happened: a decision about an order never stands before it.

    Such a day is its noon (UTC), moved just as far as the timed hops of its own object, or of the same day, ask for by the order of the
    process. Of its own object's hops also those up to a zone's distance away count, for the day is a day where the business is.
    """
    timed = [hop for hop in steps if isinstance(hop.occurred_at, datetime)]
    return [hop if isinstance(hop.occurred_at, datetime) else replace(hop, placed_at=_between(hop, timed)) for hop in steps]


def _between(dated: Hop, timed: Sequence[Hop]) -> datetime:
    start = dated.placed_at - timedelta(hours=12)

    def near(hop: Hop) -> bool:
        reach = _ZONES if hop.number == dated.number else timedelta(0)
        return start - reach <= hop.placed_at < start + timedelta(days=1) + reach

    own = _PLACE[dated.kind]
    before = [hop.placed_at for hop in timed if near(hop) and _PLACE[hop.kind] < own]
    after = [hop.placed_at for hop in timed if near(hop) and _PLACE[hop.kind] > own]
    return min([max([dated.placed_at, *before]), *after])


def _step(row: Mapping[str, Any]) -> Hop:
    occurred = row["occurred_at"] or row["occurred_on"] or row["changed_at"]
    late = None if row["backfilled"] else max(0.0, (row["recorded_at"] - row["changed_at"]).total_seconds())
    return Hop(
        kind=row["kind"],
        title=_TITLES[row["kind"]],
        system=row["source"],
        number=row["number"],
        occurred_at=occurred,
        placed_at=_instant(occurred),
        changed_at=row["changed_at"],
        recorded_at=row["recorded_at"],
        business_seconds=None,
        integration_seconds=late,
        human_seconds=None,
        is_gap=False,
        words=_words(row),
        amount=row["amount"],
        currency=row["currency"],
        raw_record_id=row["raw_record_id"],
    )


def _words(row: Mapping[str, Any]) -> str:
    parts = [str(row["number"] or row["source_key"]), str(row["status"] or "")]
    if row["due_on"] is not None and row["kind"] in ("invoice", "order"):
        parts.append(f"{'due' if row['kind'] == 'invoice' else 'wanted'} {row['due_on']}")
    return " · ".join(part for part in parts if part)


def _decided(row: Mapping[str, Any]) -> Hop:
    """A decision of the credit check, or what became of the change that a person asked for."""
    return Hop(
        kind=row["kind"],
        title=_TITLES[row["kind"]],
        system="tidegate",
        number=row["object_key"],
        occurred_at=row["opened_at"],
        placed_at=row["opened_at"],
        changed_at=row["opened_at"],
        recorded_at=row["opened_at"],
        business_seconds=None,
        integration_seconds=0.0,
        human_seconds=None,
        is_gap=False,
        words=f"{_OUTCOMES.get(row['outcome'], row['outcome']) if row['kind'] == 'request' else row['outcome']} · {row['words']}",
        amount=None,
        currency=None,
        raw_record_id=None,
    )


def _timed(steps: Sequence[Hop], human: Mapping[journey_waits.HopKey, float]) -> list[Hop]:
    """Each hop with the time since the one before it, less what of it a person was waited for; a wait counts at one hop only."""
    hops: list[Hop] = []
    left = dict(human)
    for step in steps:
        waited = left.pop((step.kind, str(step.system), str(step.number)), None)
        gone = (step.placed_at - hops[-1].placed_at).total_seconds() if hops else None
        business = None if gone is None else max(0.0, gone - (waited or 0.0))
        hops.append(replace(step, business_seconds=business, human_seconds=waited))
    return hops


def _gaps(objects: pl.DataFrame, waits: pl.DataFrame, at: datetime) -> list[Hop]:
    """What should have happened by `at` and has not."""
    have = set(objects["kind"].to_list())
    rows = objects.to_dicts()
    gaps: list[Hop] = []
    if "contract" in have and not have & {"order", "invoice"}:
        gaps += [
            _gap("order", row, f"contract {row['number']} is activated, no order yet", at)
            for row in rows
            if _is(row, "contract", "activated")
        ]
    for row in rows:
        if _is(row, "order", "blocked"):
            case = "a person has to decide" if journey_waits.is_case_open(waits, row) else "no decision yet"
            gaps.append(_gap("release", row, f"order {row['number']} is held by the credit check: {case}", at))
        elif row["kind"] == "order" and row["status"] != "cancelled" and not have & {"delivery", "invoice"} and _passed(row["due_on"], at):
            gaps.append(_gap("delivery", row, f"wanted {row['due_on']}, not delivered", at))
        elif row["kind"] == "delivery" and row["status"] == "open" and "invoice" not in have and _passed(row["occurred_on"], at):
            gaps.append(_gap("invoice", row, f"delivered {row['occurred_on']}, not invoiced", at))
        elif row["kind"] == "invoice" and row["status"] in ("posted", "cleared") and _passed(row["due_on"], at):
            rest = row["amount"] - _applied(rows, row["number"])
            if rest > 0:
                gaps.append(_gap("clearing", row, f"due {row['due_on']}, {rest} {row['currency']} open", at, row["due_on"]))
    return gaps


def _applied(rows: Sequence[Mapping[str, Any]], invoice: str) -> Decimal:
    return sum((row["amount"] for row in rows if row["kind"] == "clearing" and row["belongs_to"] == invoice), Decimal(0))


def _is(row: Mapping[str, Any], kind: str, status: str) -> bool:
    return bool(row["kind"] == kind and row["status"] == status)


def _passed(day: date | None, at: datetime) -> bool:
    return day is not None and day < at.date()


def _gap(kind: str, row: Mapping[str, Any], words: str, at: datetime, since: date | None = None) -> Hop:
    start = _instant(since or row["due_on"] or row["occurred_at"] or row["occurred_on"] or row["changed_at"])
    waiting = max(0.0, (at - start).total_seconds())
    return Hop(
        kind=kind,
        title=_TITLES[kind],
        system=row["source"],
        number=row["number"],
        occurred_at=None,
        placed_at=start,
        changed_at=None,
        recorded_at=None,
        business_seconds=waiting,
        integration_seconds=None,
        human_seconds=None,
        is_gap=True,
        words=words,
        amount=row["amount"],
        currency=row["currency"],
        raw_record_id=row["raw_record_id"],
    )


def longest(journey: Journey) -> timedelta | None:
    """How long the whole journey took so far, from its first hop to its last; None for a single hop."""
    moments = [hop.placed_at for hop in journey.hops if hop.occurred_at is not None]
    return max(moments) - min(moments) if len(moments) > 1 else None

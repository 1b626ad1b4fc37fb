"""Carries planned effects to their systems, one connection at a time, so that a dead target delays nobody else.

The ledger says "sent" in a committed transaction before anything leaves, so whatever happens afterwards is looked up before it is
done again: an effect found sent or unknown is read in its target first, and only what is surely absent is sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal

import sqlalchemy as sa
import structlog

from db.clock import Clock
from db.engine import Database, Writing, reading, writing
from sync import crash, effects
from sync.connections import Connection, Landscape
from sync.effects import Entry
from sync.errors import MAX_ATTEMPTS, ConflictError, QuotaError, SourceError, TransientError, UnknownOutcome, decide_retry
from sync.exceptions import Failure, record_exception, resolve_effect
from sync.ports import Batching, Order, Receipt, Target
from sync.systems.registry import system

log = structlog.get_logger(__name__)

Verdict = Literal["confirmed", "unknown", "failed", "conflict", "superseded", "again", "elsewhere", "gone"]
MAX_PER_RUN = 200
TURN = 50
READ_WAIT = timedelta(seconds=2)
QUOTA_WAIT = timedelta(minutes=15)
_STOPS_THE_RUN = ("auth", "quota", "transient")

OpenTarget = Callable[[Connection, Landscape], Target | None]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one run did, per verdict; `more`: there was more to do than one run does."""

    connection: str
    confirmed: int = 0
    unknown: int = 0
    failed: int = 0
    again: int = 0
    more: bool = False


def open_target(connection: Connection, landscape: Landscape) -> Target | None:
    """The connection's target as its adapter makes it; None when the system only reads."""
    return system(connection).make_target(connection, landscape)


def run(database: Database, landscape: Landscape, connection: str, clock: Clock, *, target: OpenTarget = open_target) -> Delivered:
    """Delivers what is due on `connection` and returns what became of it. Never raises for what a target did.

    Stops early when the target does not answer: the rest keeps its turn, and the ledger says when it is tried again.
    """
    configured = landscape.connection(connection)
    counts: dict[str, int] = {}
    done, after = 0, 0
    opened = target(configured, landscape)
    if opened is None:
        return Delivered(connection)
    size = opened.batch_max if isinstance(opened, Batching) else TURN
    with closing(opened):
        while done < MAX_PER_RUN:
            with reading(database.engine) as conn:
                turn = effects.due(conn, connection, after=after, limit=size)
            if not turn:
                # Those that waited behind one just settled are due now.
                if after == 0 or not counts.get("settled"):
                    break
                after = counts["settled"] = 0
                continue
            for group in _groups(turn, opened):
                after = group[-1].id
                verdicts = _deliver_group(database, landscape, group, opened, clock)
                done += len(group)
                for verdict in verdicts.values():
                    counts[verdict] = counts.get(verdict, 0) + 1
                    if verdict in ("confirmed", "failed", "superseded", "conflict"):
                        counts["settled"] = counts.get("settled", 0) + 1
                if any(verdict == "again" and _silent(database, effect_id) for effect_id, verdict in verdicts.items()):
                    return _delivered(connection, counts, more=False)
    return _delivered(connection, counts, more=done >= MAX_PER_RUN)


def _groups(turn: Sequence[Entry], target: Target) -> list[Sequence[Entry]]:
    """The entries that one call can carry out: one by one, unless the target takes several of one kind at once."""
    if not isinstance(target, Batching):
        return [[entry] for entry in turn]
    return [list(same) for _, same in groupby(turn, key=lambda entry: entry.kind)]


def _deliver_group(database: Database, landscape: Landscape, group: Sequence[Entry], target: Target, clock: Clock) -> dict[int, Verdict]:
    if len(group) == 1 or not isinstance(target, Batching):
        return {entry.id: deliver(database, landscape, entry, target, clock) for entry in group}
    return deliver_many(database, landscape, group, target, clock)


def _delivered(connection: str, counts: dict[str, int], *, more: bool) -> Delivered:
    def count(*verdicts: str) -> int:
        return sum(counts.get(verdict, 0) for verdict in verdicts)

    return Delivered(connection, count("confirmed"), count("unknown"), count("failed", "conflict", "superseded"), count("again"), more=more)


def _silent(database: Database, effect_id: int) -> bool:
    """Whether the target itself is in trouble, not the one write."""
    with reading(database.engine) as conn:
        entry = effects.get(conn, effect_id)
    return entry is not None and entry.error_kind in _STOPS_THE_RUN


def deliver(database: Database, landscape: Landscape, entry: Entry, target: Target, clock: Clock) -> Verdict:
    """Takes one effect one step further and returns where it stands. Safe to call for the same effect from anywhere, at any time."""
    with reading(database.engine) as guard:
        if not effects.alone(guard, entry.id):
            return "elsewhere"
        with reading(database.engine) as conn:
            current = effects.get(conn, entry.id)
        if current is None or current.state in ("confirmed", "failed"):
            return "gone"
        step = _Step(database, landscape, current, target, clock)
        return step.look_up() if current.state in ("sent", "unknown") else step.send()


def deliver_many(database: Database, landscape: Landscape, entries: Sequence[Entry], target: Target, clock: Clock) -> dict[int, Verdict]:
    """As `deliver` for several entries of one kind on different objects, what is to be sent of them with one call."""
    verdicts: dict[int, Verdict] = {}
    begun: list[tuple[_Step, Entry]] = []
    with reading(database.engine) as guard:
        for entry in entries:
            if not effects.alone(guard, entry.id):
                verdicts[entry.id] = "elsewhere"
                continue
            with reading(database.engine) as conn:
                current = effects.get(conn, entry.id)
            if current is None or current.state in ("confirmed", "failed"):
                verdicts[entry.id] = "gone"
                continue
            step = _Step(database, landscape, current, target, clock)
            claimed = step.look_up() if current.state in ("sent", "unknown") else step.take_on()
            if isinstance(claimed, Entry):
                begun.append((step, claimed))
            else:
                verdicts[entry.id] = claimed
        if begun:
            crash.point("before_send")
            for (step, claimed), outcome in zip(begun, _apply_many(target, [claimed.order() for _, claimed in begun]), strict=True):
                verdicts[step.entry.id] = step.settle(outcome, claimed.attempts)
    return verdicts


def _apply_many(target: Target, orders: Sequence[Order]) -> Sequence[Receipt | Exception]:
    assert isinstance(target, Batching)  # noqa: S101 - the caller looked
    try:
        outcomes = target.apply_many(orders)
    except Exception as error:  # noqa: BLE001 - it is judged for each order
        return [error] * len(orders)
    if len(outcomes) != len(orders):
        return [UnknownOutcome("the target did not say what became of each order")] * len(orders)
    return outcomes


@dataclass(frozen=True, slots=True)
class _Step:
    database: Database
    landscape: Landscape
    entry: Entry
    target: Target
    clock: Clock

    def send(self) -> Verdict:
        """planned: say so, send it, write down the answer."""
        claimed = self.take_on()
        if not isinstance(claimed, Entry):
            return claimed
        crash.point("before_send")
        outcome: Receipt | Exception
        try:
            outcome = self.target.apply(claimed.order())
        except Exception as error:  # noqa: BLE001 - it is judged below
            outcome = error
        return self.settle(outcome, claimed.attempts)

    def take_on(self) -> Entry | Verdict:
        """Planned -> sent, in a transaction of its own before anything leaves; a verdict when there is nothing to send."""
        with writing(self.database.engine) as conn:
            later = effects.newer(conn, self.entry)
            if later is not None:
                effects.fail(conn, self.entry.id, f"{later} says it newer", "superseded", now=self.clock.now())
                return "superseded"
            claimed = effects.claim(conn, self.entry.id, now=self.clock.now())
        return "elsewhere" if claimed is None else claimed

    def settle(self, outcome: Receipt | Exception, attempts: int) -> Verdict:
        """sent: writes down what the target returned or raised."""
        if isinstance(outcome, Receipt):
            crash.point("after_send")
            return self._received(outcome)
        if isinstance(outcome, UnknownOutcome):
            return self._doubt(outcome)
        if isinstance(outcome, SourceError):
            return self._refused(outcome, attempts)
        # Not one of the adapter's own words: nobody knows whether it left.
        log.error("delivery.broken", effect=self.entry.effect_key, exc_info=outcome)
        return self._doubt(UnknownOutcome(f"{type(outcome).__name__} while sending", connection=self.entry.connection))

    def look_up(self) -> Verdict:
        """Sent or unknown: read the target; only what is surely absent is sent again."""
        try:
            receipt = self.target.read(self.entry.order())
        except Exception as error:
            if not isinstance(error, SourceError):
                log.exception("delivery.unreadable", effect=self.entry.effect_key)
            return self._unreadable(error)
        if receipt.outcome == "absent":
            with writing(self.database.engine) as conn:
                effects.again(conn, self.entry.id, "read: it is not there", None, wait=timedelta(0))
            with reading(self.database.engine) as conn:
                fresh = effects.get(conn, self.entry.id)
            return "gone" if fresh is None else _Step(self.database, self.landscape, fresh, self.target, self.clock).send()
        return self._received(receipt)

    def _received(self, receipt: Receipt) -> Verdict:
        crash.point("before_receipt")
        now = self.clock.now()
        with writing(self.database.engine) as conn:
            if receipt.outcome in ("applied", "already"):
                word = {"outcome": receipt.outcome, "reference": receipt.reference, "version": receipt.version, **receipt.detail}
                effects.confirm(conn, self.entry.id, word, now=now)
                resolve_effect(conn, self.entry.id, now=now, resolution=f"the target shows it ({receipt.outcome})")
                crash.point("complete")
                return "confirmed"
            if effects.newer(conn, self.entry) is not None:
                effects.fail(conn, self.entry.id, "the target holds something newer", "superseded", now=now)
                return "superseded"
            words = f"{self.entry.connection}: {self.entry.object_key} is not as the decision left it ({receipt.outcome})"
            return self._conflict(conn, words, dict(receipt.detail))

    def _conflict(self, conn: Writing, words: str, detail: dict[str, Any]) -> Verdict:
        """The world moved on: a release goes back to its decision, anything else to a person."""
        now = self.clock.now()
        effects.fail(conn, self.entry.id, words, "conflict", now=now)
        release = self.entry.kind == "release_order" and self.entry.attempts < MAX_ATTEMPTS
        if not (release and ask_again(conn, self.entry, words, now=now)):
            self._exception(conn, "effect_conflict", words, detail)
        return "conflict"

    def _doubt(self, error: UnknownOutcome) -> Verdict:
        with writing(self.database.engine) as conn:
            effects.doubt(conn, self.entry.id, error.detail, wait=READ_WAIT)
        return "unknown"

    def _unreadable(self, error: Exception) -> Verdict:
        """Whether it happened can't be read now: it stays unknown; after some tries a person is told, and it is still looked up."""
        detail = error.detail if isinstance(error, SourceError) else f"{type(error).__name__} while reading"
        tries = self.entry.attempts + 1
        with writing(self.database.engine) as conn:
            effects.doubt(conn, self.entry.id, detail, wait=timedelta(seconds=min(2.0**tries, 60)))
            conn.execute(sa.text("update process.effect set attempts = attempts + 1 where id = :id"), {"id": self.entry.id})
            if tries >= MAX_ATTEMPTS:
                self._exception(conn, "effect_unknown", f"{self.entry.effect_key}: the target can't be read: {detail}", {})
        return "unknown"

    def _refused(self, error: SourceError, attempt: int) -> Verdict:
        """It surely did not happen: later, again from the decision, or never."""
        if isinstance(error, ConflictError):
            with writing(self.database.engine) as conn:
                return self._conflict(conn, error.detail, {"status": error.status})
        decision = decide_retry(error, attempt, now=datetime.now(UTC), jitter=random.random())
        with writing(self.database.engine) as conn:
            if decision.action == "stop" and isinstance(error, QuotaError):
                # a limit over rolling hours names no end, and passes by itself: nothing here is for a person to mend
                effects.again(conn, self.entry.id, error.detail, error.kind, wait=QUOTA_WAIT)
                return "again"
            if decision.action == "stop":
                effects.fail(conn, self.entry.id, error.detail, error.kind, now=self.clock.now())
                cause = "effect_undelivered" if isinstance(error, TransientError) else "effect_failed"
                self._exception(conn, cause, f"{self.entry.effect_key}: {error.detail}", {"status": error.status})
                return "failed"
            wait = timedelta(seconds=decision.delay_seconds)
            if decision.until is not None:
                wait = max(decision.until - datetime.now(UTC), timedelta(0))
            effects.again(conn, self.entry.id, error.detail, error.kind, wait=wait)
        return "again"

    def _exception(self, conn: Writing, cause: str, message: str, detail: dict[str, Any]) -> None:
        payload = self.entry.payload
        failure = Failure(
            cause=cause,
            kind="effect",
            connection=self.entry.connection,
            region=self.entry.region,
            message=message,
            entity=self.entry.kind,
            source_key=self.entry.object_key,
            effect_id=self.entry.id,
            amount=_amount(payload),
            currency=payload.get("currency"),
            evidence={"effect_key": self.entry.effect_key, "payload": dict(payload), **detail},
            attempts=self.entry.attempts,
        )
        now = self.clock.now()
        # One write has one exception: what it said before under another cause is out of date, and its money at risk would count twice.
        resolve_effect(conn, self.entry.id, now=now, resolution=f"told anew as {cause}", but=cause)
        record_exception(conn, failure, now=now, reporting_currency=self.landscape.reporting_currency)


def ask_again(conn: Writing, entry: Entry, words: str, *, now: datetime) -> bool:
    """Gives a release whose order changed in the target back to the rules, as an event of its own; False when the order is unknown."""
    asked = conn.execute(
        sa.text(
            "insert into process.event (type, entity, source, source_key, source_version, region, occurred_at, recorded_at, objects,"
            " raw_record_id, data, state)"
            " select 'release.conflicted', 'sales_order', o.source, o.source_key,"
            "  cast(extract(epoch from clock_timestamp()) * 1000000 as bigint), o.region, :now, :now,"
            "  array['order:' || o.number], o.raw_record_id, jsonb_build_object('effect', cast(:key as text), 'why', cast(:words as text),"
            "  'attempt', cast(:attempt as int)), 'new'"
            " from canonical.sales_order o where o.source = :connection and o.source_key = :order"
        ),
        {
            "now": now,
            "key": entry.effect_key,
            "words": words,
            "attempt": entry.attempts,
            "connection": entry.connection,
            "order": entry.object_key,
        },
    ).rowcount
    return asked > 0


def _amount(payload: Mapping[str, Any]) -> Decimal | None:
    text = payload.get("amount") or payload.get("overdue_amount")
    return None if text is None else Decimal(str(text))

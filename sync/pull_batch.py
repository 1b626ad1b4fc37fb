"""One batch of pages as one transaction: fence, land, promote, count, move the cursor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog

from db.engine import Writing
from sync import chains, corrected, crash, landing, leases, quarantine, streams
from sync.connections import Connection
from sync.errors import DataError
from sync.landing import Arrival, Landed, raw_record_id
from sync.ports import ABOUT, ControlTotal, Stream
from sync.promotion import CUSTOMER_BOUND, MappedPage, Outcome, Setting, promote
from sync.promotion_batch import Counts
from sync.pull_pipeline import Arrived
from sync.systems.registry import role

DRIFT_SHARE = 0.05
"""A stream of whose records more than this share lack a needed field is paused."""

_DRIFT_CAUSES = ("missing_field", "bad_amount", "bad_date", "bad_time", "bad_value")
_log = structlog.get_logger(__name__)


def requires_customers(connection: Connection, offered: Iterable[Stream]) -> bool:
    """Whether an order or invoice of an unknown customer is refused: the connection's own word, else true for an ERP that tells us
    of its customers.
    """
    said = connection.options.get("require_customer")
    if said is not None:
        return bool(said)
    return role(connection) == "erp" and any("customer" in stream.entities for stream in offered)


def needs_customers(connection: Connection, offered: Iterable[Stream], stream: str) -> bool:
    """Whether `stream` is to wait until the source's customers have come."""
    known = {each.name: each for each in offered}
    feeds = known[stream].entities
    return requires_customers(connection, known.values()) and "customer" not in feeds and any(entity in feeds for entity in CUSTOMER_BOUND)


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch did. `stop`: the pull may not go on, because of a page that can't be passed over or because the schema drifted."""

    outcome: Outcome
    control_totals: tuple[ControlTotal, ...]
    stop: DataError | None = None


class Writer:
    """Writes the batches of one pull, each inside the caller's transaction."""

    def __init__(
        self,
        connection: Connection,
        offered: Sequence[Stream],
        stream: Stream,
        lease: leases.Lease,
        *,
        reporting_currency: str,
        handed: bool,
        beside: bool = False,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._lease = lease
        self._handed = handed
        self._beside = beside
        self._require = requires_customers(connection, offered)
        self._sequence = 0
        self._run_id: int | None = None
        self._live_since: datetime | None = None
        self._fields_seen: Mapping[str, str] = {}
        self.place = quarantine.Place(connection.name, stream.name, connection.region, reporting_currency)

    def begin(self, run_id: int, state: streams.State) -> None:
        """Under which run, and from which state of the stream, the batches that follow are written."""
        self._run_id, self._live_since, self._fields_seen = run_id, state.live_since, state.fields_seen

    def write(self, conn: Writing, items: Sequence[Arrived], *, now: datetime) -> Written:
        """The batch: fenced first, so that a holder whose lease ran out writes nothing. `now` becomes recorded_at."""
        leases.hold(conn, self._lease)
        landed = self._land(conn, items, now)
        crash.point("after_land")
        good = [
            MappedPage(place.page_id, place.seen_before, item.mapped)
            for item, place in zip(items, landed, strict=True)
            if item.mapped is not None
        ]
        outcome = promote(conn, self._setting(now), good)
        crash.point("after_promote")
        refused = [(item, place) for item, place in zip(items, landed, strict=True) if item.refusal is not None]
        outcome = self._refuse(conn, refused, outcome, now)
        totals = self._totals(conn, items, landed, now)
        chains.close(conn, self.place, totals, now=now)
        if self._stream.atomic:
            judged = {subject: item.mapped is not None for item in items if (subject := item.page.headers.get(ABOUT))}
            corrected.close(conn, self.place, judged, totals, now=now)
        unread = next((item.refusal for item, _ in refused if not self._stream.atomic), None)
        cursor = self._advance(conn, items, outcome, unread)
        self._count(conn, len(items), outcome, cursor, now)
        self._sequence += len(items)
        return Written(outcome, totals, unread or self._drift(conn, items, outcome, now))

    def _setting(self, now: datetime) -> Setting:
        return Setting(
            source=self._connection.name,
            stream=self._stream.name,
            region=self._connection.region,
            now=now,
            live_since=self._live_since,
            always_history=self._connection.history == "business_dates",
            require_customer=self._require,
            reporting_currency=self.place.reporting_currency,
        )

    def _land(self, conn: Writing, items: Sequence[Arrived], now: datetime) -> list[Landed]:
        arrivals = [
            Arrival(
                item.page,
                "file" if self._stream.atomic else "api_page",
                self._sequence + index,
                None if item.mapped is None else item.mapped.records,
            )
            for index, item in enumerate(items)
        ]
        where = {"connection": self._connection.name, "stream": self._stream.name, "region": self._connection.region}
        return landing.land(conn, arrivals, run_id=self._run_id, now=now, **where)

    def _refuse(self, conn: Writing, refused: Sequence[tuple[Arrived, Landed]], outcome: Outcome, now: datetime) -> Outcome:
        """A page or file that can't be believed counts as one quarantined record; its bytes are the evidence."""
        troubles = [
            quarantine.Trouble(
                item.refusal.cause,
                item.refusal.detail,
                kind="file" if self._stream.atomic else "stream",
                subject=item.page.headers.get(ABOUT, item.page.name),
                raw_record_id=raw_record_id(place.page_id, 0),
                evidence=item.refusal.evidence,
            )
            for item, place in refused
            if item.refusal is not None
        ]
        if not troubles:
            return outcome
        quarantine.trouble(conn, self.place, troubles, now=now)
        causes = dict(outcome.causes)
        for trouble in troubles:
            causes[trouble.cause] = causes.get(trouble.cause, 0) + 1
        counts = outcome.counts + Counts(received=len(troubles), quarantined=len(troubles))
        return replace(outcome, counts=counts, causes=causes)

    def _totals(self, conn: Writing, items: Sequence[Arrived], landed: Sequence[Landed], now: datetime) -> tuple[ControlTotal, ...]:
        rows: list[dict[str, Any]] = []
        every: list[ControlTotal] = []
        for item, place in zip(items, landed, strict=True):
            for total in item.mapped.control_totals if item.mapped is not None else ():
                every.append(total)
                if not place.seen_before:
                    rows.append(self._total_row(total, place.page_id, now))
        if rows:
            names = list(rows[0])
            marks = ", ".join(f":{name}" for name in names)
            conn.execute(sa.text(f"insert into process.control_total ({', '.join(names)}) values ({marks})"), rows)
        return tuple(every)

    def _total_row(self, total: ControlTotal, page_id: int, now: datetime) -> dict[str, Any]:
        return {
            "page_id": page_id,
            "connection": self._connection.name,
            "region": self._connection.region,
            "subject": total.subject,
            "currency": total.currency,
            "declared_count": total.declared_count,
            "computed_count": total.computed_count,
            "declared_amount": total.declared_amount,
            "computed_amount": total.computed_amount,
            "agree": total.agree,
            "verdict": total.verdict,
            "recorded_at": now,
        }

    def _advance(self, conn: Writing, items: Sequence[Arrived], outcome: Outcome, unread: DataError | None) -> str | None:
        """Moves the cursor to the last page's, unless a page had to be left unread; returns it as JSON text."""
        believed = items if unread is None else items[: next(index for index, item in enumerate(items) if item.refusal is not None)]
        cursors = [item.page.cursor for item in believed if item.page.cursor is not None]
        stamps = [item.page.complete_until for item in believed if item.page.complete_until is not None]
        cursor = None if self._handed or not cursors else cursors[-1]
        progress = streams.Progress(
            cursor=cursor,
            complete_until=None if self._handed else max(stamps, default=None),
            newest_changed_at=outcome.newest_changed_at,
            records=outcome.counts.received,
            fields_seen=_fields(items, self._fields_seen),
        )
        streams.advance(conn, self._connection.name, self._stream.name, progress)
        return None if cursor is None else json.dumps(dict(cursor))

    def _drift(self, conn: Writing, items: Sequence[Arrived], outcome: Outcome, now: datetime) -> DataError | None:
        """A field that is new is only written down. When a needed one went missing or changed on too many records, the stream is
        paused once they are quarantined, with one exception for the cause: the rest of the source would fail alike. A few records that
        were read by name say nothing of the rest.
        """
        known = self._fields_seen
        seen = _fields(items, known)
        self._fields_seen = {**known, **seen}
        where = {"connection": self._connection.name, "stream": self._stream.name}
        if not known or not seen or self._beside:
            return None
        if added := sorted(set(seen) - set(known)):
            _log.info("new fields", fields=added, **where)
        pages = [item.mapped.fields_seen for item in items if item.mapped is not None and item.mapped.records]
        gone = sorted({name for page in pages for name in known if name not in page})
        retyped = sorted({name for page in pages for name, kind in page.items() if len({kind, known.get(name, kind)} - {"null"}) > 1})
        suspects = ("schema_drift", *(_DRIFT_CAUSES if gone or retyped else ()))
        drifted = sum(outcome.causes.get(cause, 0) for cause in suspects)
        if drifted <= DRIFT_SHARE * outcome.counts.received:
            return None
        told = "; ".join(f"{word}: {', '.join(names)}" for word, names in (("gone", gone), ("changed", retyped)) if names)
        words = f"schema drift: {drifted} of {outcome.counts.received} records can't be read" + (f"; {told}" if told else "")
        evidence: dict[str, object] = {"gone": gone, "changed": retyped, "records": drifted, "of": outcome.counts.received}
        streams.pause(conn, self._connection.name, self._stream.name, words)
        quarantine.trouble(conn, self.place, [quarantine.Trouble("schema_drift", words, evidence=evidence)], now=now)
        return DataError(words, cause="schema_drift", evidence=evidence)

    def _count(self, conn: Writing, pages: int, outcome: Outcome, cursor: str | None, now: datetime) -> None:
        conn.execute(
            sa.text(
                "insert into process.batch (run_id, connection, stream, region, committed_at, lease_token, pages, received, promoted,"
                " unchanged, duplicates, superseded, quarantined, cursor_after, entities)"
                " values (:run, :connection, :stream, :region, :now, :token, :pages, :received, :promoted, :unchanged, :duplicates,"
                " :superseded, :quarantined, cast(:cursor as jsonb), cast(:entities as jsonb))"
            ),
            {
                "run": self._run_id,
                "connection": self._connection.name,
                "stream": self._stream.name,
                "region": self._connection.region,
                "now": now,
                "token": self._lease.token,
                "pages": pages,
                "cursor": cursor,
                "entities": json.dumps({name: dict(rows) for name, rows in outcome.entities.items()}),
                **outcome.counts.as_dict(),
            },
        )


def _fields(items: Sequence[Arrived], known: Mapping[str, str]) -> dict[str, str]:
    """The fields that these pages' records carried, with their kinds; of one that holds nothing in them the kind that is known."""
    seen: dict[str, str] = {}
    for item in items:
        if item.mapped is not None and item.mapped.records:
            for name, kind in item.mapped.fields_seen.items():
                seen[name] = seen.get(name, known.get(name, kind)) if kind == "null" else kind
    return seen

"""Reads the records that webhooks have named, beside the pull by stamp, which may have missed them.

The pull has gone well when this begins and its result stands whatever becomes of the named records: each key is read, given up with its
reason, or kept for the next pull, and every hint comes to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from db.clock import Clock
from db.engine import Database, Writing, writing
from sync import hints, quarantine
from sync.connections import Connection, Landscape
from sync.ports import Rereading, Source
from sync.promotion_batch import Outcome
from sync.pull import PullResult, pull_stream

SINGLES_MAX = 100
"""So many keys are read one by one after one pull; the rest of a set that can't be read together waits for the next."""
PATIENCE = timedelta(days=1)
"""A hint older than this (business time) that still can't be read for an outage is given up: the pull by stamp goes on without it."""
SHOWN = 20
_FOR_GOOD = ("permanent", "data", "partial", "unknown")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Named:
    """The stream whose named records are read, and with what."""

    database: Database
    connection: Connection
    landscape: Landscape
    source: Source
    stream: str
    clock: Clock
    follow: Callable[[Outcome], None]

    def read(self, keys: Sequence[str]) -> PullResult:
        """One reading of these keys. Its failure is the result's, never the stream's."""
        assert isinstance(self.source, Rereading)  # noqa: S101 - `reread` looked
        pages = self.source.reread(self.stream, keys, now=self.clock.now())
        return pull_stream(
            self.database, self.connection, self.landscape, self.source, self.stream,
            clock=self.clock, trigger="webhook", pages=pages, beside=True, on_commit=self.follow,
        )  # fmt: skip


@dataclass(slots=True)
class _Tally:
    """What became of the keys: `done` were read, `refused` never will be (key -> why), `error` ended the reading for now."""

    done: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    """Those refused whose page is quarantined with its bytes already."""
    error: str | None = None
    new_customers: int = 0

    def took(self, keys: Sequence[str], result: PullResult) -> bool:
        """Adds one reading's outcome; whether there is sense in reading on."""
        self.new_customers += result.new_customers
        if result.state == "done":
            self.done += keys
        elif result.error_kind in _FOR_GOOD:
            self.refused.update(dict.fromkeys(keys, result.error or "refused"))
            if result.refused is not None:
                self.told.update(keys)
        else:
            self.error = result.error or result.state
        return self.error is None


def reread(named: Named, noted: hints.Open, pulled: PullResult) -> PullResult:
    """Reads what `noted` names and settles the hints; returns `pulled` with the customers that came by it.

    Many names, or a whole read, cost less as a pull, and that has been done: such hints are settled at once. Keys that the system
    refuses for good are found by reading them one by one, and told in one exception; those that an outage kept back wait for the next pull.
    """
    now = named.clock.now()
    if not isinstance(named.source, Rereading) or not noted.keys or noted.whole or len(noted.keys) > hints.KEYS_MAX:
        with writing(named.database.engine) as conn:
            hints.settle(conn, noted.ids, now=now)
        return pulled
    tally = _read(named, noted.keys)
    if tally.error is not None:
        _log.warning("named records wait", connection=named.connection.name, stream=named.stream, error=tally.error)
    with writing(named.database.engine) as conn:
        hints.looked_at(conn, noted.ids, [*tally.done, *tally.refused], now=now)
        given_up = hints.give_up(conn, noted.ids, before=now - PATIENCE, now=now) if tally.error is not None else []
        if given_up:
            _log.warning("named records given up", connection=named.connection.name, stream=named.stream, keys=given_up[:SHOWN])
        _tell(conn, named, {key: why for key, why in tally.refused.items() if key not in tally.told}, now)
    return replace(pulled, new_customers=pulled.new_customers + tally.new_customers)


def _read(named: Named, keys: Sequence[str]) -> _Tally:
    """All keys together; one by one, up to a bound, where together they are refused for good."""
    together = _Tally()
    together.took(keys, named.read(keys))
    if not together.refused or len(keys) == 1:
        return together
    # What one reading at the whole set has landed stays; the customers among it are counted once more at most.
    tally = _Tally(new_customers=together.new_customers)
    for key in keys[:SINGLES_MAX]:
        if not tally.took([key], named.read([key])):
            break
    return tally


def _tell(conn: Writing, named: Named, refused: Mapping[str, str], now: datetime) -> None:
    """One exception of the stream for all of them; the next pull that goes well closes it, for there is nothing more to do about it."""
    if not refused:
        return
    key, why = next(iter(refused.items()))
    shown = dict(list(refused.items())[:SHOWN])
    _log.warning("named records refused", connection=named.connection.name, stream=named.stream, keys=list(shown), error=why)
    words = (
        f"{len(refused)} of the records that webhooks have named can't be read by themselves, as {key}: {why};"
        " they are not asked for again, and the pull brings what it sees of them"
    )
    place = quarantine.Place(named.connection.name, named.stream, named.connection.region, named.landscape.reporting_currency)
    trouble = quarantine.Trouble("source_permanent", words, subject=f"{named.stream} by name", evidence={"keys": shown})
    quarantine.trouble(conn, place, [trouble], now=now)

"""Replay: what could not pass is tried again through the same code as the first time, never by a side door.

A record is asked for once more at its source, then its landed bytes go through promotion again; a write goes through delivery, which
reads the target before it sends; an event goes back to its rule. Chunk by chunk, each committed, so that a killed replay goes on
where it stopped. A canary tries 1, then 5, then 25, and stops when the same failure comes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
import structlog

from db.bulk import Contended
from db.clock import Clock
from db.engine import Database, Writing, reading, writing
from db.schema import canonical
from sync import delivery, effects, process_region, reprocessing, unreadable_events
from sync.canonical.contracts import CONTRACTS
from sync.connections import ConfigError, Connection, Landscape
from sync.errors import SourceError
from sync.ports import Source, Target
from sync.pull import pull_stream
from sync.systems.registry import system

log = structlog.get_logger(__name__)

CHUNK = 500
CANARY = (1, 5, 25)
BUSY_SECONDS = 10.0
CONTENDED_TRIES = 3
_WELL = {
    "promoted": "landed",
    "unchanged": "was there already",
    "superseded": "a newer version is there",
    "duplicates": "was there already",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One exception of the command's frozen set."""

    id: int
    kind: str
    cause: str
    connection: str
    stream: str | None
    raw_record_id: int | None
    effect_id: int | None
    event_id: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an item: resolved, failed or skipped, and why in words."""

    id: int
    state: str
    words: str


def _open_source(connection: Connection, landscape: Landscape) -> Source:
    return system(connection).make_source(connection, landscape)


@dataclass
class Tools:
    """How systems are reached, each opened once for the whole replay."""

    landscape: Landscape
    open_source: Callable[[Connection, Landscape], Source] = _open_source
    open_target: delivery.OpenTarget = delivery.open_target
    _stack: ExitStack = field(default_factory=ExitStack)
    _sources: dict[str, Source] = field(default_factory=dict)
    _targets: dict[str, Target | None] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """The connection's source. Raises ConfigError when it is not configured."""
        if name not in self._sources:
            opened = self.open_source(self.landscape.connection(name), self.landscape)
            self._sources[name] = self._stack.enter_context(closing(opened))
        return self._sources[name]

    def target(self, name: str) -> Target | None:
        """The connection's target, or None when it takes no writes."""
        if name not in self._targets:
            opened = self.open_target(self.landscape.connection(name), self.landscape)
            self._targets[name] = None if opened is None else self._stack.enter_context(closing(opened))
        return self._targets[name]

    def close(self) -> None:
        """Lets go of everything opened."""
        self._stack.close()


@dataclass(frozen=True, slots=True)
class Replay:
    """One command's replay."""

    database: Database
    landscape: Landscape
    clock: Clock
    command_id: int
    actor: str
    tools: Tools
    canary: bool = False
    how: str = "replayed"

    def run(self) -> Mapping[str, int]:
        """Tries every waiting item and returns how many are resolved, failed and skipped in all."""
        self._mark()
        self._ask_sources()
        self._already_landed()
        return self.run_as_stored()

    def run_as_stored(self) -> Mapping[str, int]:
        """The same, on the bytes that are here: for a correction made here."""
        self._mark()
        for number, size in enumerate(_sizes(canary=self.canary)):
            items = self._waiting(size)
            if not items:
                break
            results = self._try(items)
            if self.canary and number < len(CANARY) and any(result.state == "failed" for result in results):
                self._stop(f"stopped after {sum(CANARY[: number + 1])}: the same failure came back")
                break
        return self._count()

    def _mark(self) -> None:
        with writing(self.database.engine) as conn:
            conn.execute(sa.text(_MARK), {"command": self.command_id})

    def _waiting(self, limit: int) -> list[Item]:
        with reading(self.database.engine) as conn:
            rows = conn.execute(sa.text(_WAITING), {"command": self.command_id, "limit": limit}).mappings()
            return [Item(**row) for row in rows]

    def _ask_sources(self) -> None:
        """Pulls what the records came from, once: the record may have been corrected where it lives."""
        with reading(self.database.engine) as conn:
            pairs = conn.execute(sa.text(_STREAMS), {"command": self.command_id}).all()
        for pair in pairs:
            try:
                self._pull(pair.connection, pair.stream)
            except (ConfigError, SourceError, KeyError) as error:
                log.warning("replay.source_not_asked", connection=pair.connection, stream=pair.stream, error=str(error)[:300])

    def _pull(self, connection: str, stream: str) -> None:
        source, until = self.tools.source(connection), time.monotonic() + BUSY_SECONDS
        configured = self.landscape.connection(connection)
        while True:
            result = pull_stream(self.database, configured, self.landscape, source, stream, clock=self.clock, trigger="replay")
            if result.state != "busy" or time.monotonic() > until:
                return
            time.sleep(0.3)

    def _already_landed(self) -> None:
        """Records of which something newer is here than what failed: nothing is left to do."""
        with writing(self.database.engine) as conn:
            for entity in canonical.ENTITIES:
                ids = conn.execute(sa.text(_LANDED.format(entity=entity)), {"command": self.command_id, "entity": entity}).scalars()
                self._write(conn, [Result(found, "resolved", "a newer version landed") for found in ids])

    def _try(self, items: Sequence[Item]) -> list[Result]:
        results: list[Result] = []
        for connection, records in _by_connection([i for i in items if i.kind in ("record", "file")]):
            results += self._records(connection, records)
        for item in items:
            if item.kind in ("record", "file"):
                continue
            tried = {"effect": self._effect, "rule": self._event, "stream": self._stream}.get(item.kind)
            result = Result(item.id, "skipped", f"a {item.kind} can't be replayed") if tried is None else tried(item)
            with writing(self.database.engine) as conn:
                self._write(conn, [result])
            results.append(result)
        return results

    def _records(self, connection: str, items: Sequence[Item]) -> list[Result]:
        """Through promotion again, in one transaction; one that breaks the batch is tried alone, so that it fails alone."""
        for attempt in range(CONTENDED_TRIES):
            try:
                with writing(self.database.engine) as conn:
                    results = self._promote(conn, connection, items)
                    self._write(conn, results)
                    return results
            except Contended:
                if attempt + 1 == CONTENDED_TRIES:
                    raise
            except sa.exc.OperationalError:
                raise
            except Exception as error:
                if len(items) > 1:
                    return [result for item in items for result in self._records(connection, [item])]
                return self._broken(items[0], error)
        return []

    def _broken(self, item: Item, error: Exception) -> list[Result]:
        """It can't even be tried: its own failure, in words, and nobody else's."""
        words = str(error) if isinstance(error, (ConfigError, SourceError)) else f"{type(error).__name__} while it was tried again"
        log.warning("replay.record_failed", exception_id=item.id, error=f"{type(error).__name__}: {error}"[:300])
        with writing(self.database.engine) as conn:
            self._write(conn, [Result(item.id, "failed", words)])
        return [Result(item.id, "failed", words)]

    def _promote(self, conn: Writing, connection: str, items: Sequence[Item]) -> list[Result]:
        configured, source = self.landscape.connection(connection), self.tools.source(connection)
        ids = [item.raw_record_id for item in items if item.raw_record_id is not None]
        again = reprocessing.reprocess(conn, configured, self.landscape, source, ids, now=self.clock.now())
        answers = {answer.raw_record_id: answer for answer in again}
        results = []
        for item in items:
            answer = answers.get(item.raw_record_id or -1)
            if answer is None:
                results.append(Result(item.id, "failed", "its bytes are not stored"))
            elif answer.outcome in _WELL:
                results.append(Result(item.id, "resolved", _WELL[answer.outcome]))
            else:
                results.append(Result(item.id, "failed", answer.words or "it fails as before"))
        return results

    def _effect(self, item: Item) -> Result:
        """A write: confirmed ones are no-ops, unknown ones are read, refused ones are sent once more under the same key."""
        with writing(self.database.engine) as conn:
            entry = effects.get(conn, item.effect_id or -1)
            if entry is None:
                return Result(item.id, "failed", "the ledger does not know this write")
            if entry.kind == "release_order" and entry.error_kind == "conflict":
                asked = delivery.ask_again(conn, entry, "replayed", now=self.clock.now())
                return Result(item.id, "resolved" if asked else "failed", "given back to the rules" if asked else "the order is not known")
            effects.retry(conn, [entry.id])
        try:
            target = self.tools.target(entry.connection)
        except ConfigError as error:
            return Result(item.id, "failed", str(error))
        if target is None:
            return Result(item.id, "failed", f"{entry.connection} takes no writes")
        delivery.deliver(self.database, self.landscape, entry, target, self.clock)
        with reading(self.database.engine) as conn:
            after = effects.get(conn, entry.id)
        if after is not None and after.state == "confirmed":
            return Result(item.id, "resolved", "the target confirms it")
        return Result(item.id, "failed", "not confirmed yet" if after is None or not after.error else after.error)

    def _event(self, item: Item) -> Result:
        process_region.run_events(self.database, self.landscape, [item.event_id or -1], self.clock)
        with reading(self.database.engine) as conn:
            state = conn.execute(sa.text("select state from process.event where id = :id"), {"id": item.event_id}).scalar_one_or_none()
        return Result(item.id, "resolved", "decided") if state == "handled" else Result(item.id, "failed", "the rule fails as before")

    def _stream(self, item: Item) -> Result:
        if item.stream is None:
            return Result(item.id, "skipped", "it names no stream")
        if item.stream == unreadable_events.STREAM:
            still = unreadable_events.ask_all(self.database, item.connection, self._pull)
            return Result(item.id, "failed" if still else "resolved", still or "every stream of its connection was read")
        with writing(self.database.engine) as conn:
            conn.execute(
                sa.text("update process.stream set next_attempt_at = null, breaker_open_until = null, is_paused = false"
                        " where connection = :connection and stream = :stream"),
                {"connection": item.connection, "stream": item.stream},
            )  # fmt: skip
        try:
            self._pull(item.connection, item.stream)
        except (ConfigError, SourceError, KeyError) as error:
            return Result(item.id, "failed", str(error))
        with reading(self.database.engine) as conn:
            state = conn.execute(sa.text("select state from process.exception where id = :id"), {"id": item.id}).scalar_one()
        return (
            Result(item.id, "resolved", "it answers again")
            if state == "resolved"
            else Result(item.id, "failed", "it still does not answer")
        )

    def _write(self, conn: Writing, results: Sequence[Result]) -> None:
        """The item's result and its exception's new state, together with the work itself where that is in the same transaction."""
        now = self.clock.now()
        values = {
            "command": self.command_id,
            "now": now,
            "by": f"{self.how} by {self.actor}: ",
            "ids": [result.id for result in results],
            "states": [result.state for result in results],
            "words": [result.words for result in results],
        }
        if results:
            conn.execute(sa.text(_ITEMS), values)
            conn.execute(sa.text(_EXCEPTIONS), values)
            conn.execute(sa.text(_PROGRESS), {"command": self.command_id})

    def _stop(self, words: str) -> None:
        with writing(self.database.engine) as conn:
            rest = conn.execute(
                sa.text("select exception_id from process.command_item where command_id = :command and state = 'waiting'"),
                {"command": self.command_id},
            ).scalars()
            self._write(conn, [Result(found, "skipped", words) for found in rest])

    def _count(self) -> Mapping[str, int]:
        with reading(self.database.engine) as conn:
            rows = conn.execute(
                sa.text("select state, count(*) as n from process.command_item where command_id = :command group by state"),
                {"command": self.command_id},
            )
            found = {row.state: int(row.n) for row in rows}
        return {state: found.get(state, 0) for state in ("resolved", "failed", "skipped")}


def _sizes(*, canary: bool) -> Iterator[int]:
    if canary:
        yield from CANARY
    while True:
        yield CHUNK


def _by_connection(items: Sequence[Item]) -> Iterator[tuple[str, list[Item]]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.connection, []).append(item)
    yield from sorted(found.items())


_MARK = """
update process.exception e set state = 'replaying' from process.command_item i
where i.command_id = :command and i.exception_id = e.id and i.state = 'waiting' and e.state <> 'resolved'
"""

_WAITING = """
select e.id, e.kind, e.cause, e.connection, e.stream, e.raw_record_id, e.effect_id, e.event_id
from process.command_item i join process.exception e on e.id = i.exception_id
where i.command_id = :command and i.state = 'waiting' order by i.position limit :limit
"""

_STREAMS = """
select distinct e.connection, e.stream from process.command_item i join process.exception e on e.id = i.exception_id
where i.command_id = :command and i.state = 'waiting' and e.kind = 'record' and e.stream is not null order by 1, 2
"""

_LANDED = """
select e.id from process.command_item i join process.exception e on e.id = i.exception_id
join canonical.{entity} c on c.source = e.connection and c.source_key = e.source_key
where i.command_id = :command and i.state = 'waiting' and e.kind = 'record' and e.entity = :entity
  and (c.recorded_at > e.last_seen or c.source_version >= e.source_version)
"""

_ITEMS = """
update process.command_item i set state = r.state, outcome = r.words, finished_at = :now
from unnest(cast(:ids as bigint[]), cast(:states as text[]), cast(:words as text[])) as r(id, state, words)
where i.command_id = :command and i.exception_id = r.id and i.state = 'waiting'
"""

# One that failed again waits for a person who has seen it; one that was not tried is as it was.
_EXCEPTIONS = """
update process.exception e set
  state = case r.state when 'resolved' then 'resolved' else case when e.regressed_from is null then 'acknowledged' else 'regressed' end end,
  attempts = e.attempts + case r.state when 'skipped' then 0 else 1 end,
  resolved_at = case r.state when 'resolved' then cast(:now as timestamptz) end,
  resolution = case r.state when 'resolved' then cast(:by as text) || r.words end
from unnest(cast(:ids as bigint[]), cast(:states as text[]), cast(:words as text[])) as r(id, state, words)
where e.id = r.id and (e.state <> 'resolved' or r.state = 'resolved')
"""

_PROGRESS = """
update process.command set done = (
  select count(*) from process.command_item where command_id = :command and state <> 'waiting') where id = :command
"""


def correct(conn: Writing, exception_id: int, changes: Mapping[str, str | None], *, now: datetime) -> int:
    """Lands the corrected copy of an exception's record and points the exception at it; returns the copy's raw record id.

    Raises ValueError, in words, when the exception has no record or the contract does not let these fields be edited.
    """
    row = conn.execute(
        sa.text("select raw_record_id, entity, evidence from process.exception where id = :id for update"), {"id": exception_id}
    ).one_or_none()
    if row is None or row.raw_record_id is None:
        raise ValueError(f"exception {exception_id} has no record that could be corrected")
    contract = CONTRACTS.get(row.entity or "")
    allowed = set(contract.editable if contract else ()) | set(row.evidence or {})
    refused = sorted(set(changes) - allowed)
    if refused:
        raise ValueError(f"these fields can't be corrected here: {', '.join(refused)}; correct the record in its source")
    copy = reprocessing.edit(conn, row.raw_record_id, changes, now=now)
    conn.execute(
        sa.text("update process.exception set raw_record_id = :copy,"
                " evidence = evidence || jsonb_build_object('original_record', cast(:original as bigint)) where id = :id"),
        {"copy": copy, "original": row.raw_record_id, "id": exception_id},
    )  # fmt: skip
    return copy

"""A seeded life beside a world that moves: streams pulled in turn, workers that die, a wire that fails; then all of it must be true.

A world is another company's system, written from its contract alone. It changes between pages and between pulls, and knows at any
time what is true and what ever was. What is held here may at no moment be anything that never was, nor go back to an older version;
once the wire is whole and the documented sweeps have run, it is the truth, and pulling again changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest

from sync import http, http_gate
from sync.connections import Connection
from sync.errors import MAX_ATTEMPTS, QuotaError, SourceError, decide_retry
from sync.ports import Cursor, Mapped, Page, Pending, Source
from tests.contracts.suite_server import ScriptedServer
from tests.contracts.suite_store import Key, Store
from tests.contracts.worlds_weather import Weather, WorldClock

CALLS_MAX = 400
"""More calls than this in one run of one pull are a loop: no world holds so many pages."""
SETTLING_MAX = 30


class World(Protocol):
    """Another company's system. `streams` are pulled; `sweeps` are the times that let every documented comparison come due."""

    name: str
    clock: WorldClock
    weather: Weather
    server: ScriptedServer
    streams: Sequence[str]
    sweeps: Sequence[timedelta]
    budget: int | None
    standing: Collection[str]
    """Entities of which a row stands, whatever became of its record."""

    def source(self) -> Source:
        """A new worker's source."""
        ...

    def moves(self) -> None:
        """Something happens there."""
        ...

    def calms(self) -> None:
        """Nothing is refused any more, and what is on its way arrives."""
        ...

    def was(self, key: Key, row: Mapping[str, Any]) -> str | None:
        """None when the row is something that the world once showed; else what is wrong with it."""
        ...

    def soon(self) -> dict[Key, dict[str, Any]]:
        """What must be held without any sweep."""
        ...

    def truth(self) -> dict[Key, dict[str, Any]]:
        """What must be held in the end, at least these columns."""
        ...

    def may_stop(self, error: SourceError) -> bool:
        """Whether the world has given cause for an error that no retry heals."""
        ...


@dataclass
class Past:
    """What each record ever was, by its version. `gone`: the keys that were at some time not shown, and so may be held as deleted."""

    states: dict[Key, dict[int, list[Mapping[str, Any]]]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def note(self, key: Key, state: Mapping[str, Any]) -> None:
        """The record is so from now on: `source_version`, `is_deleted` and whatever the world vouches for."""
        self.states.setdefault(key, {}).setdefault(state["source_version"], []).append(state)

    def was(self, key: Key, row: Mapping[str, Any]) -> str | None:
        """None when the row is something that was; else what is wrong with it."""
        if key not in self.states:
            return "there never was such a record"
        if row["is_deleted"] and key[1] in self.gone:
            return None
        states = self.states[key].get(row["source_version"], [])
        if any(all(row[name] == value for name, value in state.items()) for state in states):
            return None
        if row["is_deleted"] and any(state["is_deleted"] for told in self.states[key].values() for state in told):
            return None
        return f"it never was so at that version; it was {states}"


class Wrong(AssertionError):
    """What was found."""


@dataclass
class Held(Store):
    """The store that also watches: nothing that never was, no older version over a newer one."""

    world: World | None = None

    def take(self, mapped: Mapped) -> None:
        before = dict(self.rows)
        super().take(mapped)
        if self.rejects:
            raise Wrong(f"rejected: {self.rejects[0]}")
        for key, row in self.rows.items():
            held = before.get(key)
            if held is row:
                continue
            if held is not None and held["source_version"] > row["source_version"]:
                raise Wrong(f"{key}: an older version came over a newer one")
            why = None if self.world is None else self.world.was(key, row)
            if why is not None:
                raise Wrong(f"{key}: {why}: {row}")


@dataclass
class _Line:
    """One stream on our side."""

    cursor: Cursor | None = None
    pulling: Iterator[Page | Pending] | None = None
    not_before: datetime | None = None
    failures: int = 0
    calls: int = 0


@dataclass
class Life:
    """Drives a world's streams as workers do, for `rounds`, and then to rest."""

    world: World
    seed: int
    rounds: int = 60
    errors: list[SourceError] = field(default_factory=list)
    pages: int = 0
    deaths: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(f"life {self.seed}")
        self.store = Held(world=self.world)
        self.lines = {stream: _Line() for stream in self.world.streams}
        self._source: Source | None = None

    def run(self) -> None:
        """All of it. Raises Wrong."""
        clock = self.world.clock
        try:
            for _ in range(self.rounds):
                if self.dice.random() < 0.6:
                    self.world.moves()
                clock.passes(self.dice.choice((0, 1, 20, 90, 400, 4000) if self.dice.random() < 0.97 else (90_000,)))
                if self.dice.random() < 0.06:
                    self._dies()
                stream = self.dice.choice(list(self.lines))
                for _ in range(self.dice.choice((1, 1, 2, 5))):
                    if not self._step(stream):
                        break
            self._dies()
            self.world.weather.rough = False
            self.world.calms()
            self._settle()
        finally:
            self._ends()
            http_gate._GATES.clear()

    def _settle(self) -> None:
        self._pass([timedelta(minutes=25)] * 2)
        self._compare(self.world.soon())
        self._pass([*self.world.sweeps, timedelta(hours=2)])
        truth, held = self.world.truth(), self.store.rows
        self._compare(truth)
        for key, row in held.items():
            if key not in truth and not row.get("is_deleted") and key[0] not in self.world.standing:
                raise Wrong(f"{key} is held and is not there: {row}")
        changes = self.store.changes
        for stream in self.lines:
            self._to_the_end(stream)
        if self.store.changes != changes:
            raise Wrong("pulling again changed something")
        self._checks()

    def _pass(self, waits: Sequence[timedelta]) -> None:
        for wait in waits:
            self.world.clock.passes(wait.total_seconds())
            for stream in self.lines:
                self._to_the_end(stream)

    def _compare(self, truth: Mapping[Key, Mapping[str, Any]]) -> None:
        for key, row in truth.items():
            held = self.store.rows.get(key)
            if held is None:
                raise Wrong(f"{key} is missing: {row}")
            wrong = {name: (held.get(name), value) for name, value in row.items() if held.get(name) != value}
            if wrong:
                raise Wrong(f"{key} is held otherwise (held, true): {wrong}")

    def _to_the_end(self, stream: str) -> None:
        for _ in range(SETTLING_MAX):
            while self._step(stream, settling=True):
                pass
            if self.lines[stream].not_before is None:
                return
            line = self.lines[stream]
            if line.not_before is not None:
                self.world.clock.now = max(self.world.clock.now, line.not_before)
        raise Wrong(f"{stream}: does not come to an end on a whole wire; the last error: {self.errors[-1:]}")

    def _step(self, stream: str, *, settling: bool = False) -> bool:
        """One page of a stream, or what comes instead; False when its pull is over for now."""
        line, clock = self.lines[stream], self.world.clock
        if line.pulling is None:
            if line.not_before is not None and clock.now < line.not_before:
                return False
            line.not_before, line.calls = None, 0
            line.pulling = self._worker().pull(stream, line.cursor, now=clock.now)
        before = self.world.weather.calls
        try:
            item = next(line.pulling, None)
        except SourceError as error:
            self._failed(line, stream, error, settling=settling)
            return False
        finally:
            line.calls += self.world.weather.calls - before
            self._checks()
        if line.calls > CALLS_MAX:
            raise Wrong(f"{stream}: {line.calls} calls in one pull")
        if item is None:
            line.pulling, line.failures = None, 0
            return False
        if isinstance(item, Pending):
            line.cursor, line.pulling = item.cursor, None
            line.not_before = clock.now + timedelta(seconds=item.seconds)
            return False
        self.store.take(self._worker().map(stream, item))
        self.pages += 1
        if item.cursor is not None:
            line.cursor = item.cursor
        return True

    def _failed(self, line: _Line, stream: str, error: SourceError, *, settling: bool) -> None:
        clock = self.world.clock
        self.errors.append(error)
        line.pulling = None
        if not error.detail or error.connection != self.world.name:
            raise Wrong(f"{stream}: an error without words or without its connection: {error!r} {error.connection!r}")
        if settling and not isinstance(error, QuotaError):
            raise Wrong(f"{stream}: the wire is whole, and yet: {error!r}")
        line.failures += 1
        decision = decide_retry(error, min(line.failures, MAX_ATTEMPTS), now=clock.now, jitter=0.5)
        if decision.action == "stop" and line.failures < MAX_ATTEMPTS and not self.world.may_stop(error):
            raise Wrong(f"{stream}: stopped by {error!r}, which nothing gave cause for; faults so far: {dict(self.world.weather.met)}")
        wait = timedelta(minutes=5) if decision.action == "stop" else timedelta(seconds=decision.delay_seconds)
        line.not_before = decision.until if decision.action == "park" else clock.now + wait

    def _checks(self) -> None:
        weather = self.world.weather
        if weather.wrong:
            raise Wrong(weather.wrong[0])
        if self.world.budget is not None:
            day, calls = max(weather.by_day.items(), key=lambda entry: entry[1], default=("", 0))
            if calls > self.world.budget:
                raise Wrong(f"{calls} calls on {day}, where {self.world.budget} a day are allowed")

    def _worker(self) -> Source:
        if self._source is None:
            self._source = self.world.source()
        return self._source

    def _dies(self) -> None:
        """The process is gone, and with it every open pull. Another one begins, and recalls what was counted today."""
        self.deaths += 1
        self._ends()
        clock = self.world.clock
        if self.world.weather.asked_to_wait is not None:  # the stream's own row remembers it: the new process waits it out
            clock.now = max(clock.now, self.world.weather.asked_to_wait)
        counted = http_gate.counted_today(self.world.name, clock.now)
        http_gate._GATES.clear()
        self._worker()
        http_gate.recall(self.world.name, counted, clock.now)

    def _ends(self) -> None:
        for line in self.lines.values():
            line.pulling = None
        if self._source is not None:
            self._source.close()
            self._source = None


def our_clock(monkeypatch: pytest.MonkeyPatch, clock: WorldClock, modules: Sequence[Any]) -> None:
    """Wall time is the world's, for what counts by it; `modules` are those that look at it by name."""

    def wall() -> datetime:
        return clock.now

    told = http_gate.Budget.told
    defaults = http.Client.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "wall", wall)
    monkeypatch.setattr(
        http_gate.Budget, "told", lambda self, used, limit, *, at=None: told(self, used, limit, at=clock.now if at is None else at)
    )
    for module in (http, *modules):
        monkeypatch.setattr(module, "wall_clock", wall)


def connection_of(world: World, system: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> Connection:
    """The world as a connection of its own."""
    return Connection(
        name=world.name, system=system, region="EMEA", legal_entities=("DE01",), allow_private_addresses=True,
        daily_call_budget=world.budget, options={"base_url": world.server.url, **options}, secrets=dict(secrets),
    )  # fmt: skip

"""The records of a system that are not what was agreed any more, the same for every adapter: fields that are gone, have another type or
another shape, or hold what no system may say.

An author gives the wire of tests/contracts/test_wire_faults.py. Whatever becomes of a record's fields, it lands with the worth that it
has or is quarantined with a known cause and evidence, and its neighbours land; whatever becomes of the answer around the records, none
of them is lost. No error is foreign.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from sync import streams
from sync.canonical.causes import CAUSES
from sync.canonical.contracts import CONTRACTS
from sync.connections import Connection, Landscape
from sync.errors import DataError, SourceError
from sync.ports import Cursor, Filing, Pending
from sync.pull import PullResult, pull_stream
from tests.contracts import altered
from tests.contracts.altered import Path
from tests.contracts.suite import CHANGES_OF_CLOCKS, DAY, MINUTE, AdapterCase, machine_in
from tests.contracts.suite_server import Asked, Reply
from tests.contracts.suite_store import Store
from tests.contracts.suite_wire import Wire, forget_gates
from tests.postgres.synthetic import Database

PULLS_MAX = 50
CONNECTION = "one"
MANY = 10_000
NEIGHBOURS = 4
"""So many sound records stand among those that are changed."""

BESIDE = ("gone", "object", "word")


@dataclass
class Read:
    """What a pull on a system like this came to: pages that are no pages stop it, as in the pipeline; files are refused one by one."""

    store: Store = field(default_factory=Store)
    cursor: Cursor | None = None
    refused: list[DataError] = field(default_factory=list)
    error: SourceError | None = None
    landed: int = 0
    """Rows of the case's entity, one that came twice counted twice."""


def read(case: AdapterCase, store: Store | None = None, cursor: Cursor | None = None) -> Read:
    """A pull to its end, or to the error that ended it."""
    done = Read(store or Store(), cursor)
    try:
        with closing(case.source()) as source:
            atomic = next(stream.atomic for stream in source.streams() if stream.name == case.stream)
            for _ in range(PULLS_MAX):
                again = False
                for item in source.pull(case.stream, done.cursor, now=case.now):
                    if isinstance(item, Pending):
                        done.cursor, again = item.cursor, True
                        break
                    reason = None
                    try:
                        mapped = source.map(case.stream, item)
                        done.store.take(mapped)
                        done.landed += mapped.frames[case.entity].height if case.entity in mapped.frames else 0
                    except DataError as error:
                        if not atomic:
                            raise
                        done.refused.append(error)
                        reason = error.detail
                    done.cursor = done.cursor if item.cursor is None else item.cursor
                    if isinstance(source, Filing):
                        source.settled(case.stream, item, accepted=reason is None, reason=reason)
                if not again:
                    return done
            raise AssertionError("the system is never done preparing")
    except SourceError as error:
        assert error.detail
        done.error = error
    return done


@dataclass(frozen=True)
class Shown:
    """What a sound pull showed on the wire: the fields of the records whose worth the suite knows, and those around them."""

    fields: Mapping[Path, Any]
    beside: tuple[Path, ...]
    texts: bool
    """A record's worth is a text, which any other text may replace."""


def _between(wire: Wire, change: Callable[[bytes], bytes]) -> None:
    """From now on every answer but that to a login is changed; one that holds no record that the suite knows comes as it is."""

    def between(asked: Asked, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        known = not wire.is_login(asked) and any(_number(wire.case, record) for record in altered.records(reply.body) or ())
        return replace(reply, body=change(reply.body)) if known else reply

    wire.server.between = between


def _number(case: AdapterCase, record: Any) -> int | None:
    """Which of the suite's records this is, by its worth; None for one of another kind, such as the account behind a balance."""
    found = re.search(case.mark, json.dumps(record))
    return int(found[0]) - case.base if found else None


def _show(wire: Wire) -> Shown:
    """A pull of the first records, looked at."""
    fields, beside = dict[Path, Any](), dict[Path, None]()

    def look(body: bytes) -> bytes:
        for record in altered.records(body) or ():
            if _number(wire.case, record):
                fields.update({path: value for path, value in altered.paths(record).items() if path not in fields})
        beside.update(dict.fromkeys(altered.beside(body)))
        return body

    _between(wire, look)
    done = read(wire.case)
    wire.server.between = None
    assert done.error is None, done.error
    held = done.store.live(wire.case.entity).values()
    return Shown(fields, tuple(beside), any(isinstance(row[wire.case.value_column], str) for row in held))


def _put(case: AdapterCase, numbers: range, since: timedelta = 5 * DAY) -> dict[str, Decimal]:
    for n in numbers:
        case.put(f"k{n}", case.base + n, case.now - since + n * MINUTE)
    return {case.source_key(f"k{n}"): Decimal(case.base + n) for n in numbers}


def _changes(case: AdapterCase, shown: Shown) -> Iterator[tuple[Path, str]]:
    """Every change to be tried. A name can be any other text, and so can a worth that is a text: it is then another record, or another worth."""
    names = {name for n in range(1, NEIGHBOURS + 1) for name in (f"k{n}", *re.split(r"[|/]", case.source_key(f"k{n}")))}
    for how in (*altered.EVERYWHERE, *altered.ONCE):
        for path, value in shown.fields.items():
            worth = re.search(case.mark, str(value)) is not None
            free = how in altered.NAMELESS and (str(value) in names or (shown.texts and worth))
            if not free and (worth or how in altered.EVERYWHERE) and how not in case.means.get(".".join(path), ()):
                yield path, how


def _one(change: tuple[Path, str] | None) -> tuple[tuple[Path, str], ...]:
    return () if change is None else (change,)


def _worth(case: AdapterCase, row: dict[str, Any]) -> Decimal | None:
    """A row's worth; None where it holds none, or a text that is no number."""
    try:
        return None if row[case.value_column] is None else case.worth(row)
    except InvalidOperation:
        return None


def _told(rejects: Iterable[dict[str, Any]]) -> int:
    """How many records were refused, each with a known cause, words and evidence."""
    rejects = list(rejects)
    for reject in rejects:
        assert reject["cause"] in CAUSES
        assert reject["message"]
        assert isinstance(json.loads(reject["evidence"]), dict)
    return len(rejects)


class DriftSuite:
    """Give it a `wire` fixture; every test below then runs."""

    @pytest.fixture
    def wire(self) -> Wire:
        raise NotImplementedError("give the subclass a wire fixture")

    @pytest.fixture(autouse=True)
    def _no_outages(self) -> Iterator[None]:
        forget_gates()
        yield
        forget_gates()

    def test_a_field_that_is_not_what_it_was_costs_its_record_alone(self, wire: Wire) -> None:
        """Every change of every field, each in a record of its own, all in one pull among sound ones."""
        case = wire.case
        _put(case, range(1, NEIGHBOURS + 1))
        shown = _show(wire)
        every = list(_changes(case, shown))
        assert len(every) > len(altered.EVERYWHERE), "no field of a record was seen"
        for first in range(0, len(every), case.most - NEIGHBOURS):
            self._try(wire, dict(enumerate(every[first : first + case.most - NEIGHBOURS], NEIGHBOURS + 1)))

    def _try(self, wire: Wire, changes: dict[int, tuple[Path, str]]) -> None:
        case = wire.case
        wire.heal()
        truth = _put(case, range(1, (case.most if case.most < MANY else NEIGHBOURS + len(changes)) + 1))
        _between(wire, lambda body: altered.alter_records(body, lambda record: _one(changes.get(_number(case, record) or 0))))
        done = read(case)
        assert done.error is None, done.error
        held = {key: _worth(case, row) for key, row in done.store.live(case.entity).items()}
        by_key = {case.source_key(f"k{n}"): change for n, change in changes.items()}
        assert {key: by_key.get(key) for key, worth in held.items() if worth is not None and truth.get(key) != worth} == {}
        missing = truth.keys() - held.keys()
        assert missing <= by_key.keys(), "a sound neighbour was lost"
        assert len(missing) <= _told(done.store.rejects), [by_key[key] for key in missing]

    def test_a_field_that_is_new_costs_nothing(self, wire: Wire) -> None:
        """What nobody asked for is noted and no more, whatever its shape."""
        case = wire.case
        truth = _put(case, range(1, NEIGHBOURS + 1))
        _between(wire, lambda body: altered.alter_records(body, lambda record: [(next(iter(altered.paths(record))), "added")]))
        done = read(case)
        assert (done.error, done.store.rejects) == (None, [])
        assert {key: _worth(case, row) for key, row in done.store.live(case.entity).items()} == truth

    def test_what_stands_around_the_records_hides_none(self, wire: Wire) -> None:
        """Counts, links and envelopes that are gone or of another type: all is read, or the pull ends in words and is made up for."""
        case = wire.case
        truth = _put(case, range(1, NEIGHBOURS + 2))
        for path, how in itertools.product(_show(wire).beside, BESIDE):
            if how in case.means.get(".".join(path), ()):
                continue
            _between(wire, functools.partial(altered.alter_beside, path=path, how=how))
            done = read(case)
            wire.heal()
            again = read(case, done.store, done.cursor)
            held = {key: _worth(case, row) for key, row in again.store.live(case.entity).items()}
            assert (again.error, held) == (None, truth), (path, how, done.error)

    @pytest.mark.parametrize("said", [altered.naive, altered.elsewhere], ids=["naive", "another offset"])
    def test_a_moment_is_the_same_or_it_is_refused(self, wire: Wire, said: Callable[[str], str]) -> None:
        """Moments of every other record told without their zone, in an hour that the machine's clock has twice, or told as of another
        zone: such a record lands with the very same facts or is refused, never an hour off; the others land.
        """
        case = wire.case
        case.now = CHANGES_OF_CLOCKS[-1] + DAY
        stamps = CHANGES_OF_CLOCKS[2:6]
        for n, at in enumerate(stamps, 1):
            case.put(f"k{n}", case.base + n, at)
        sound = read(case)
        assert sound.error is None, sound.error
        touched: list[int] = []

        def odd(record: dict[str, Any]) -> bool:
            number = _number(case, record) or 0
            told = number % 2 == 1 and altered.moments(record, said) != record
            touched.extend([number] if told else [])
            return told

        _between(wire, lambda body: altered.rewritten(body, odd, said))
        with machine_in("Europe/Berlin"):
            done = read(case)
        assert bool(touched) is case.tells_moments
        assert done.error is None, done.error
        assert {key: row for key, row in done.store.rows.items() if sound.store.rows.get(key) != row} == {}
        missing = sound.store.live(case.entity).keys() - done.store.live(case.entity).keys()
        assert missing <= {case.source_key(f"k{n}") for n in touched}
        assert len(missing) <= _told(done.store.rejects)

    def test_more_than_a_few_pause_the_stream_for_one_cause(self, wire: Wire, engine: sa.Engine) -> None:
        """Where the field that is needed most has become an object on most records: those are quarantined, the stream is paused with one
        exception for the cause, and once healed and resumed everything is there, with its contract's version.
        """
        case, clock = wire.case, FixedClock(wire.case.now)
        truth = _put(case, range(1, NEIGHBOURS + 1))
        fields = _show(wire).fields
        worth = [path for path, value in fields.items() if not isinstance(value, dict | list) and _number(case, value)]
        needed: list[Path] = [(case.needs,)] if case.needs else worth
        assert _pull(case, engine, clock).state == "done"
        case.now = clock.advance(DAY)
        truth |= _put(case, range(NEIGHBOURS + 1, NEIGHBOURS + 7), case.late_by * 4)
        _between(wire, lambda body: altered.alter_records(body, lambda record: _reshaped(case, record, needed)))
        assert _pull(case, engine, clock).state == "failed"
        paused = _rows(engine, "select paused_reason from process.stream where is_paused and stream = :stream", stream=case.stream)
        assert ["schema drift" in row.paused_reason for row in paused] == [True]
        told = _rows(engine, "select cause, kind, state, message, evidence from process.exception where kind <> 'record'")
        assert [(row.cause, row.kind, row.state) for row in told] == [("schema_drift", "stream", "new")]
        assert _rows(engine, "select id from process.exception where kind = 'record' and evidence is not null")
        assert _held(case, engine).items() <= truth.items()
        wire.heal()
        with writing(engine) as conn:
            streams.resume(conn, CONNECTION, case.stream)
        clock.advance(MINUTE)
        assert _pull(case, engine, clock, full=True).state == "done"
        assert _held(case, engine) == truth
        assert {row.state for row in _rows(engine, "select state from process.exception")} == {"resolved"}
        assert [row.contract_version for row in _rows(engine, f"select distinct contract_version from canonical.{case.entity}")] == [
            CONTRACTS[case.entity].version
        ]


def _reshaped(case: AdapterCase, record: dict[str, Any], needed: list[Path]) -> list[tuple[Path, str]]:
    """What is needed has become an object on all but the first records."""
    return [(path, "object") for path in needed] if (_number(case, record) or 0) > NEIGHBOURS + 1 else []


def _pull(case: AdapterCase, engine: sa.Engine, clock: FixedClock, **more: Any) -> PullResult:
    place = Connection(name=CONNECTION, system=case.system, region="EMEA", options={"require_customer": False})
    with closing(case.source()) as source:
        return pull_stream(Database(engine), place, Landscape(), source, case.stream, clock=clock, trigger="test", **more)


def _rows(engine: sa.Engine, query: str, **values: Any) -> list[Any]:
    with reading(engine) as conn:
        return list(conn.execute(sa.text(query), values))


def _held(case: AdapterCase, engine: sa.Engine) -> dict[str, Decimal]:
    rows = _rows(engine, f"select source_key, {case.value_column} from canonical.{case.entity} where not is_deleted")
    return {row[0]: case.worth({case.value_column: row[1]}) for row in rows}

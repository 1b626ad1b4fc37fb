"""A pull that waits for a system to prepare, records that a webhook has named, and calls that were made before this process began."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from sync import hints, http_gate, ingest, rereading, streams, tasks, webhooks
from sync.connections import Connection, StreamSettings
from sync.doors import Hint, Notice, Reply
from sync.errors import DataError, PermanentError, QuotaError, TransientError
from sync.ports import Cursor, Page, Pending
from sync.pull import pull_stream
from sync.signatures import SignatureRefused
from tests.postgres.synthetic import LANDSCAPE, Database, MemorySource, connection, customer

ERP = connection()


def rows(engine: sa.Engine, query: str, **values: Any) -> list[Any]:
    """What `query` finds."""
    with reading(engine) as conn:
        return list(conn.execute(sa.text(query), values))


@dataclass
class SlowSource(MemorySource):
    """Has its pages ready only when it is asked for the `ready_after`-th time; the job's number travels in the cursor."""

    ready_after: int = 3
    asked: list[Cursor | None] = field(default_factory=list)

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page | Pending]:  # type: ignore[override]
        self.asked.append(cursor)
        if len(self.asked) < self.ready_after:
            yield Pending({"job": "750X", "tries": len(self.asked)}, 0.01, "bulk job 750X is InProgress")
            return
        yield from super().pull(stream, None, now=now)


def test_a_pull_waits_for_its_job_and_goes_on_from_it(engine: sa.Engine, clock: FixedClock) -> None:
    """While the system prepares, the run ends well, the job stays in the cursor, the page says what is waited for, nothing is live."""
    source = SlowSource({"customers": [[customer("C1")]]})
    database = Database(engine)
    first = pull_stream(database, ERP, LANDSCAPE, source, "customers", clock=clock, trigger="clock")
    assert (first.state, first.error) == ("preparing", None)
    row = rows(engine, "select * from process.stream where stream = 'customers'")[0]
    assert row.cursor == {"job": "750X", "tries": 1}
    assert (row.preparing, row.live_since, row.lease_owner) == ("bulk job 750X is InProgress", None, None)
    (line,) = [each for each in streams.overview(engine, replace_connections(), now=clock.now()) if each.stream == "customers"]
    assert (line.state, line.words) == ("preparing", "bulk job 750X is InProgress")
    pull_stream(database, ERP, LANDSCAPE, source, "customers", clock=clock, trigger="test")
    last = pull_stream(database, ERP, LANDSCAPE, source, "customers", clock=clock, trigger="test")
    assert (last.state, last.counts.promoted) == ("done", 1)
    assert source.asked == [None, {"job": "750X", "tries": 1}, {"job": "750X", "tries": 2}]
    row = rows(engine, "select * from process.stream where stream = 'customers'")[0]
    assert (row.preparing, row.live_since) == (None, clock.now())


def replace_connections() -> Any:
    return LANDSCAPE.model_copy(update={"connections": (ERP,)})


def test_the_clock_leaves_a_preparing_stream_alone_until_it_may_be_ready(engine: sa.Engine, clock: FixedClock) -> None:
    """The next attempt lies where the system was said to be ready."""
    source = SlowSource({"customers": [[customer("C1")]]})
    pull_stream(Database(engine), ERP, LANDSCAPE, source, "customers", clock=clock, trigger="clock")
    with writing(engine) as conn:
        conn.execute(sa.text("update process.stream set next_attempt_at = clock_timestamp() + interval '1 hour'"))
    assert pull_stream(Database(engine), ERP, LANDSCAPE, source, "customers", clock=clock, trigger="clock").state == "not_due"


def test_what_is_prepared_is_taken_up_without_the_clock(engine: sa.Engine, clock: FixedClock) -> None:
    """A stream whose own tick is an hour away is pulled as soon as its wait is over, once, and not before."""
    hourly = ERP.model_copy(update={"defaults": StreamSettings(every_seconds=3600)})
    landscape = LANDSCAPE.model_copy(update={"connections": (hourly,)})
    shop = tasks.Shop(Database(engine), landscape, clock)  # type: ignore[arg-type]
    waiting = "select count(*) as n from procrastinate_jobs where task_name = 'pull_stream' and args ->> 'stream' = 'customers'"
    pull_stream(
        Database(engine), hourly, landscape, SlowSource({"customers": [[customer("C1")]]}), "customers", clock=clock, trigger="clock"
    )
    with writing(engine) as conn:
        conn.execute(sa.text("update process.stream set next_attempt_at = clock_timestamp() + interval '1 minute'"))
    tasks.sweep(shop)
    assert rows(engine, waiting)[0].n == 0
    with writing(engine) as conn:
        conn.execute(sa.text("update process.stream set next_attempt_at = clock_timestamp() - interval '1 second'"))
    tasks.sweep(shop)
    tasks.sweep(shop)
    assert rows(engine, waiting)[0].n == 1
    with writing(engine) as conn:
        conn.execute(sa.text("delete from procrastinate_jobs"))
        conn.execute(sa.text("update process.stream set is_paused = true"))
    tasks.sweep(shop)
    assert rows(engine, waiting)[0].n == 0


def test_the_command_line_stays_until_the_job_is_done(engine: sa.Engine, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """`connections pull` is complete when it returns, also where the system needs time."""
    source = SlowSource({"customers": [[customer("C1")], [customer("C2")]]})
    result = ingest._to_the_end(Database(engine), ERP, LANDSCAPE, source, "customers", clock=clock, full=True)
    assert (result.state, result.counts.promoted, result.pages) == ("done", 2, 2)


@dataclass
class AskedSource(MemorySource):
    """Can be asked for single customers."""

    reread_keys: list[tuple[str, ...]] = field(default_factory=list)

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        self.reread_keys.append(tuple(keys))
        alone = MemorySource({stream: [[customer(key, 9, name=f"Read again {key}") for key in keys]]})
        for page in alone.pull(stream, None, now=now):
            yield replace(page, cursor=None)


@dataclass
class SpeakingDoor:
    """Lets everybody in and says what the test says."""

    said: tuple[Notice, ...]

    def check(self, headers: Any, body: bytes, secrets: Sequence[str], *, now: datetime) -> None:
        if body == b"forged":
            raise SignatureRefused("forged")

    def notices(self, headers: Any, body: bytes) -> Sequence[Notice]:
        return self.said

    def reply(self) -> Reply:
        return Reply(200, "text/xml", b"<Ack>true</Ack>")


def _hear(engine: sa.Engine, clock: FixedClock, *said: Notice, erp: Connection = ERP) -> webhooks.Accepted:
    with writing(engine) as conn:
        return webhooks.accept(conn, erp, SpeakingDoor(said), {}, b"<Notifications/>", now=clock.now())


def _shop(engine: sa.Engine, source: MemorySource, clock: FixedClock) -> tasks.Shop:
    shop = tasks.Shop(Database(engine), LANDSCAPE.model_copy(update={"connections": (ERP,)}), clock)  # type: ignore[arg-type]
    shop.sources["erp", "customers"] = source
    return shop


def test_records_that_a_webhook_names_are_read_again(engine: sa.Engine, clock: FixedClock) -> None:
    """Two notices in one body, one of them here before: the named records are read by key, once, and the hints are settled."""
    source = AskedSource({"customers": [[customer("C1"), customer("C2")]]})
    shop = _shop(engine, source, clock)
    tasks.pull(shop, "erp", "customers", "clock")
    told = Notice("n1", (Hint("customers", ("C1",)),))
    assert _hear(engine, clock, told).duplicates == 0
    heard = _hear(engine, clock, told, Notice("n2", (Hint("customers", ("C2", "C1")),)))
    assert (heard.duplicates, set(heard.event_ids)) == (1, {"n1", "n2"})
    jobs = rows(engine, "select args->>'stream' as s, args->>'trigger' as t, count(*) as n from procrastinate_jobs group by 1, 2")
    assert ("customers", "webhook", 1) in [tuple(job) for job in jobs]
    tasks.pull(shop, "erp", "customers", "webhook")
    assert [set(keys) for keys in source.reread_keys] == [{"C1", "C2"}]
    assert {row.name for row in rows(engine, "select name from canonical.customer")} == {"Read again C1", "Read again C2"}
    tasks.pull(shop, "erp", "customers", "webhook")
    assert len(source.reread_keys) == 1
    assert rows(engine, "select count(*) from process.hint where settled_at is null")[0][0] == 0
    assert rows(engine, "select cursor from process.stream where stream = 'customers'")[0][0] == {"next": 1}


def test_a_sender_that_lost_count_makes_the_stream_be_read_whole(engine: sa.Engine, clock: FixedClock) -> None:
    """An overflow names no record: the next pull begins at the beginning."""
    source = AskedSource({"customers": [[customer("C1")]]})
    shop = _shop(engine, source, clock)
    tasks.pull(shop, "erp", "customers", "clock")
    _hear(engine, clock, Notice("gap", (Hint("customers", whole=True),)))
    tasks.pull(shop, "erp", "customers", "webhook")
    assert source.pulled[-1][1] is None
    assert source.reread_keys == []
    tasks.pull(shop, "erp", "customers", "webhook")
    assert source.pulled[-1][1] == {"next": 1}


def test_hints_of_a_failed_read_wait_for_the_next(engine: sa.Engine, clock: FixedClock) -> None:
    """Nothing that was named is forgotten because the system was down when it was to be read."""

    def down(_stream: str, _number: int) -> None:
        raise ConnectionError("down")

    source = AskedSource({"customers": [[customer("C1")]]})
    shop = _shop(engine, source, clock)
    tasks.pull(shop, "erp", "customers", "clock")
    _hear(engine, clock, Notice("n1", (Hint("customers", ("C1",)),)))
    source.pages["customers"].append([customer("C7")])
    source.before_page = down
    assert tasks.pull(shop, "erp", "customers", "webhook").state == "failed"
    with reading(engine) as conn:
        assert hints.open_hints(conn, "erp", "customers").keys == ("C1",)
    source.before_page = None
    shop.sources["erp", "customers"] = source
    tasks.pull(shop, "erp", "customers", "webhook")
    assert source.reread_keys == [("C1",)]


@dataclass
class PickySource(AskedSource):
    """Refuses to show some customers by name, as `refusals` says, and all of a set in which one of them is."""

    refusals: dict[str, Exception] = field(default_factory=dict)

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        for key in keys:
            if key in self.refusals:
                self.reread_keys.append(tuple(keys))
                raise self.refusals[key]
        yield from super().reread(stream, keys, now=now)


def _picky(engine: sa.Engine, clock: FixedClock, *keys: str, **refusals: Exception) -> tuple[PickySource, tasks.Shop]:
    """A stream that is live, and one notice that names these keys."""
    source = PickySource({"customers": [[customer("C1")]]}, refusals=refusals)
    shop = _shop(engine, source, clock)
    tasks.pull(shop, "erp", "customers", "clock")
    _hear(engine, clock, Notice("n1", (Hint("customers", keys),)))
    return source, shop


def _pull_again(shop: tasks.Shop, source: MemorySource) -> str:
    shop.sources["erp", "customers"] = source
    return tasks.pull(shop, "erp", "customers", "webhook").state


def _open_keys(engine: sa.Engine) -> tuple[str, ...]:
    with reading(engine) as conn:
        return hints.open_hints(conn, "erp", "customers").keys


def _stream_stands(engine: sa.Engine) -> bool:
    (row,) = rows(engine, "select * from process.stream where stream = 'customers'")
    return (row.consecutive_failures, row.last_error, row.is_paused, row.breaker_open_until, row.lease_owner) == (
        0,
        None,
        False,
        None,
        None,
    )


@pytest.mark.parametrize("refusal", [PermanentError("malformed id"), DataError("no page", cause="malformed_record")])
def test_a_key_that_is_refused_for_good_costs_only_itself(engine: sa.Engine, clock: FixedClock, refusal: Exception) -> None:
    """The pull stands, the neighbours are read, one exception says which key and why, and nothing is asked for again."""
    source, shop = _picky(engine, clock, "C1", "C!", "C2", **{"C!": refusal})
    source.pages["customers"].append([customer("C7")])
    assert _pull_again(shop, source) == "done"
    assert source.reread_keys == [("C1", "C!", "C2"), ("C1",), ("C!",), ("C2",)]
    assert {row.name for row in rows(engine, "select name from canonical.customer")} == {"Read again C1", "Read again C2", "Customer C7"}
    (item,) = rows(engine, "select cause, message, state from process.exception")
    assert (item.cause, item.state) == ("source_permanent", "new")
    assert "C!" in item.message
    assert str(refusal) in item.message
    assert _open_keys(engine) == ()
    assert _stream_stands(engine)
    assert _pull_again(shop, source) == "done"
    assert len(source.reread_keys) == 4
    assert [row.state for row in rows(engine, "select state from process.exception")] == ["resolved"]


@dataclass
class BrokenRecordSource(AskedSource):
    """Shows by name a record that has lost its key and its name."""

    def reread(self, stream: str, keys: Sequence[str], *, now: datetime) -> Iterator[Page]:
        self.reread_keys.append(tuple(keys))
        record = {key: value for key, value in customer(keys[0], 9).items() if key != "name"} | {"source_key": ""}
        for page in MemorySource({stream: [[record]]}).pull(stream, None, now=now):
            yield replace(page, cursor=None)


def test_a_broken_record_read_by_name_is_no_drift(engine: sa.Engine, clock: FixedClock) -> None:
    """One of one is all there is: the record is quarantined, and the stream goes on."""
    source = BrokenRecordSource({"customers": [[customer("C1")]]})
    shop = _shop(engine, source, clock)
    tasks.pull(shop, "erp", "customers", "clock")
    _hear(engine, clock, Notice("n1", (Hint("customers", ("C1",)),)))
    assert _pull_again(shop, source) == "done"
    assert source.reread_keys == [("C1",)]
    assert [row.cause for row in rows(engine, "select cause from process.exception")] == ["missing_field"]
    assert _stream_stands(engine)


def test_a_refusal_that_comes_back_is_told_again(engine: sa.Engine, clock: FixedClock) -> None:
    """The exception that the next pull closed is open again, not lost."""
    source, shop = _picky(engine, clock, "C!", **{"C!": PermanentError("not yours")})
    _pull_again(shop, source)
    _pull_again(shop, source)
    _hear(engine, clock, Notice("n2", (Hint("customers", ("C!",)),)))
    _pull_again(shop, source)
    (item,) = rows(engine, "select state, occurrences from process.exception")
    assert (item.state, item.occurrences) == ("regressed", 2)


def test_one_by_one_goes_on_over_several_pulls(engine: sa.Engine, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large set with a bad key is worked off in bounded parts; no key is left out and each is read once."""
    monkeypatch.setattr(rereading, "SINGLES_MAX", 2)
    source, shop = _picky(engine, clock, "C1", "C2", "C3", "C!", "C4", **{"C!": PermanentError("not yours")})
    left = []
    for _ in range(4):
        assert _pull_again(shop, source) == "done"
        left.append(_open_keys(engine))
    assert left == [("C3", "C!", "C4"), ("C4",), (), ()]
    singles = [keys[0] for keys in source.reread_keys if len(keys) == 1]
    assert singles == ["C1", "C2", "C3", "C!", "C4"]


def test_named_records_wait_for_the_end_of_an_outage_but_not_for_ever(engine: sa.Engine, clock: FixedClock) -> None:
    """While reading by name fails for now, the pull stands and the hint stays; after a day it is given up, after the outage it is read."""
    source, shop = _picky(engine, clock, "C2", C2=TransientError("503"))
    assert _pull_again(shop, source) == "done"
    assert (_open_keys(engine), _stream_stands(engine)) == (("C2",), True)
    clock.set(clock.now() + timedelta(hours=23))
    _hear(engine, clock, Notice("n2", (Hint("customers", ("C3",)),)))
    assert _pull_again(shop, source) == "done"
    assert set(_open_keys(engine)) == {"C2", "C3"}
    clock.set(clock.now() + timedelta(hours=2))
    assert _pull_again(shop, source) == "done"
    assert _open_keys(engine) == ("C3",)
    source.refusals.clear()
    assert _pull_again(shop, source) == "done"
    assert _open_keys(engine) == ()
    assert source.reread_keys[-1] == ("C3",)
    assert rows(engine, "select 1 from process.exception") == []


def test_the_days_calls_outlive_the_process(engine: sa.Engine, clock: FixedClock) -> None:
    """A restarted worker begins with the count of the one before it; another day begins anew."""
    erp = ERP.model_copy(update={"name": "metered", "daily_call_budget": 100})
    wall = datetime.now(UTC)
    gate = http_gate.gate_of("metered", "https://erp.example", 100)
    for _ in range(7):
        gate.enter(wall)
        gate.leave(None, wall)
    pull_stream(Database(engine), erp, LANDSCAPE, MemorySource({"customers": [[customer("C1")]]}), "customers", clock=clock, trigger="test")
    gate.budget.counted = 0
    pull_stream(Database(engine), erp, LANDSCAPE, MemorySource({}), "customers", clock=clock, trigger="test")
    assert http_gate.counted_today("metered", wall) == 7
    with reading(engine) as conn:
        assert streams.counted(conn, "metered", (wall + timedelta(days=1)).date().isoformat()) == 0


def test_the_background_leaves_a_reserve_for_people() -> None:
    """Five of a hundred calls are kept for a person's call and for writes; by the system's own count alike."""
    budget = http_gate.Budget(limit=100)
    wall = datetime(2026, 5, 20, tzinfo=UTC)
    for _ in range(95):
        budget.count(wall)
    with pytest.raises(QuotaError, match="kept for what somebody waits for"):
        budget.count(wall)
    for _ in range(5):
        budget.count(wall, interactive=True)
    with pytest.raises(QuotaError, match="used up"):
        budget.count(wall, interactive=True)
    told = http_gate.Budget()
    told.told(960, 1000, at=wall)
    with pytest.raises(QuotaError, match="by its own count"):
        told.count(wall)
    told.count(wall, interactive=True)
    told.count(wall + http_gate.TOLD_REST)  # an old word: one call asks anew
    with pytest.raises(QuotaError):
        told.count(wall + http_gate.TOLD_REST)

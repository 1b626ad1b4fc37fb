"""Replay through the same door: one, many, all of a filter; resumable, previewed, with a canary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.live.evidence import original
from db.clock import FixedClock
from db.engine import Scope, reading, writing
from sync import handlers, replay_preview, unreadable_events
from sync.commands import AnyCommand, EditAndReplay, ReplayExceptions
from sync.connections import Landscape
from sync.exception_filter import ExceptionFilter
from sync.permissions import Forbidden
from sync.pull import pull_stream
from sync.replay import Replay, Tools
from sync.submission import Refused, submit
from tests.postgres.process_world import NOW, opened
from tests.postgres.synthetic import MemorySource, connection, customer, invoice

LANDSCAPE = Landscape(connections=(connection(),))


@dataclass
class House:
    """A source, what was pulled of it, and its exceptions."""

    engine: sa.Engine
    source: MemorySource
    clock: FixedClock

    def pull(self, stream: str) -> None:
        self.clock.advance(timedelta(minutes=1))
        pull_stream(opened(self.engine), connection(), LANDSCAPE, self.source, stream, clock=self.clock, trigger="test")

    def serve(self, stream: str, *records: dict[str, Any]) -> None:
        """One more page at the source."""
        self.source.pages.setdefault(stream, []).append(list(records))

    def submit(self, command: AnyCommand, key: str = "k1", *, scope: frozenset[str] | None = None, reason: str = "fixed") -> int:
        with writing(self.engine, Scope(scope, "olga")) as conn:
            return submit(
                conn,
                command,
                actor="olga",
                roles={"operator"},
                scope_regions=scope,
                idempotency_key=key,
                reason=reason,
                now=self.clock.now(),
            )

    def run(self, command_id: int) -> dict[str, Any]:
        tools = Tools(LANDSCAPE, open_source=lambda _connection, _landscape: self.source)
        self.clock.advance(timedelta(minutes=1))
        handlers.run_command(opened(self.engine), LANDSCAPE, command_id, self.clock, tools=tools)
        return dict(self.rows("select outcome from process.command where id = :id", id=command_id)[0].outcome)

    def replay(self, key: str = "k1", **over: Any) -> dict[str, Any]:
        return self.run(self.submit(ReplayExceptions(**(over or {"filter": ExceptionFilter()})), key))

    def rows(self, statement: str, **bound: Any) -> list[Any]:
        with self.engine.connect() as conn:
            return list(conn.execute(sa.text(statement), bound))

    def states(self) -> dict[str, str]:
        return {row.source_key: row.state for row in self.rows("select source_key, state from process.exception order by id")}


@pytest.fixture
def house(engine: sa.Engine) -> House:
    """One known customer, C1, pulled."""
    found = House(engine, MemorySource(), FixedClock(NOW))
    found.serve("customers", customer("C1"))
    found.pull("customers")
    return found


def invoices(house: House) -> list[str]:
    return [row.source_key for row in house.rows("select source_key from canonical.invoice order by 1")]


def test_a_record_lands_once_its_customer_is_known(house: House) -> None:
    """An invoice of an unknown customer is quarantined; once the customer is there its replay lands it and resolves the exception."""
    house.serve("invoices", invoice("I1", customer_key="C9"), invoice("I2"))
    house.pull("invoices")
    assert (house.states(), invoices(house)) == ({"I1": "new"}, ["I2"])
    house.serve("customers", customer("C9"))
    house.pull("customers")
    outcome = house.replay()
    assert (outcome["resolved"], outcome["failed"]) == (1, 0)
    assert (house.states(), invoices(house)) == ({"I1": "resolved"}, ["I1", "I2"])
    (row,) = house.rows("select resolution from process.exception")
    assert row.resolution == "replayed by olga: landed"


@pytest.mark.parametrize(
    ("broken", "state", "words"), [(False, "resolved", "every stream of its connection was read"), (True, "acknowledged", None)]
)
def test_an_event_that_can_not_be_read_is_done_with_once_its_connection_was_asked(
    house: House, *, broken: bool, state: str, words: str | None
) -> None:
    """Replay reads every stream of the connection, so that what the event was about is here; where one can't be read, it stays open."""
    with writing(house.engine) as conn:
        unreadable_events.refuse(conn, connection(), "it is no event", now=house.clock.now())
    house.serve("customers", customer("C7"))
    if broken:
        house.source.before_page = _down
    assert house.replay()["failed"] == int(broken)
    (row,) = house.rows("select state, resolution from process.exception where cause = 'event_unreadable'")
    assert (row.state, row.resolution) == (state, words and f"replayed by olga: {words}")
    assert house.rows("select count(*) from canonical.customer where source_key = 'C7'")[0][0] == int(not broken)


def _down(_stream: str, _number: int) -> None:
    raise ConnectionError("down")


def test_a_record_that_fails_again_stays_with_one_more_attempt(house: House) -> None:
    """Replaying what is still broken is an outcome, not an error: the same exception, seen, with its attempts counted."""
    house.serve("invoices", invoice("I1", customer_key="C9"))
    house.pull("invoices")
    assert house.replay()["failed"] == 1
    (row,) = house.rows("select state, attempts, occurrences from process.exception")
    assert (row.state, row.attempts) == ("acknowledged", 1)


def test_a_record_corrected_at_its_source_is_resolved_by_a_replay(house: House) -> None:
    """The source is asked once more before the stored bytes are tried, so that a correction there counts at once."""
    house.serve("invoices", invoice("I1", currency="EURO"))
    house.pull("invoices")
    assert house.states() == {"I1": "new"}
    house.serve("invoices", invoice("I1", 2))
    outcome = house.replay()
    assert outcome["resolved"] == 1
    (item,) = house.rows("select state, outcome from process.command_item")
    assert (item.state, item.outcome) == ("resolved", "a newer version landed")
    assert invoices(house) == ["I1"]


def test_one_that_comes_back_is_regressed(house: House) -> None:
    """A record that breaks again after its exception was resolved reopens it, with the fix it came back from."""
    house.serve("invoices", invoice("I1", customer_key="C9"))
    house.pull("invoices")
    house.serve("customers", customer("C9"))
    house.pull("customers")
    house.replay()
    house.serve("invoices", invoice("I1", 3, customer_key="C8"))
    house.pull("invoices")
    (row,) = house.rows("select state, regressed_from from process.exception")
    assert (row.state, row.regressed_from) == ("regressed", "replayed by olga: landed")


def test_the_set_is_frozen_when_the_command_is_filed(house: House) -> None:
    """What fails after the filter was applied is not part of the command."""
    house.serve("invoices", invoice("I1", customer_key="C9"))
    house.pull("invoices")
    command = house.submit(ReplayExceptions(filter=ExceptionFilter(cause="unknown_customer")))
    house.serve("invoices", invoice("I2", customer_key="C9"))
    house.pull("invoices")
    house.serve("customers", customer("C9"))
    house.pull("customers")
    house.run(command)
    assert house.states() == {"I1": "resolved", "I2": "new"}


def test_the_same_key_is_the_same_command(house: House) -> None:
    """A double click files once; the same key with other content is refused."""
    house.serve("invoices", invoice("I1", customer_key="C9"))
    house.pull("invoices")
    command = ReplayExceptions(filter=ExceptionFilter())
    assert house.submit(command) == house.submit(command)
    assert len(house.rows("select 1 from governance.audit where action = 'replay_exceptions'")) == 1
    assert len(house.rows("select 1 from procrastinate_jobs where task_name = 'run_command'")) == 1
    with pytest.raises(Refused, match="other content"):
        house.submit(ReplayExceptions(filter=ExceptionFilter(cause="bad_date")))


def test_a_scope_cuts_the_set_and_a_role_may_be_refused(house: House) -> None:
    """An operator of another region finds nothing to replay; an analyst may not replay at all."""
    house.serve("invoices", invoice("I1", customer_key="C9"))
    house.pull("invoices")
    with pytest.raises(Refused, match="nothing matches"):
        house.submit(ReplayExceptions(filter=ExceptionFilter(state="any")), scope=frozenset({"APAC"}))
    with pytest.raises(Forbidden, match="replay_exceptions"), writing(house.engine) as conn:
        submit(
            conn, ReplayExceptions(ids=(1,)), actor="ana", roles={"analyst"}, scope_regions=None, idempotency_key="x", reason=None,
            now=NOW,
        )  # fmt: skip


def test_a_canary_stops_when_the_same_failure_comes_back(house: House) -> None:
    """Of forty broken records the canary tries one, sees it fail, and leaves the rest as they were."""
    house.serve("invoices", *[invoice(f"I{n}", customer_key="C9") for n in range(40)])
    house.pull("invoices")
    outcome = house.replay(filter=ExceptionFilter(), canary=True)
    assert (outcome["failed"], outcome["skipped"], outcome["resolved"]) == (1, 39, 0)
    assert house.rows("select count(*) as n from process.exception where attempts > 0")[0].n == 1


def test_a_canary_that_passes_goes_on_to_the_rest(house: House) -> None:
    """1, 5, 25, then the rest: all forty land."""
    house.serve("invoices", *[invoice(f"I{n}", customer_key="C9") for n in range(40)])
    house.pull("invoices")
    house.serve("customers", customer("C9"))
    house.pull("customers")
    assert house.replay(filter=ExceptionFilter(), canary=True)["resolved"] == 40


def test_an_edit_lands_a_copy_and_keeps_the_original(house: House) -> None:
    """A correction is a raw page of its own that names its parent; only what the contract or the record has can be edited."""
    house.serve("invoices", invoice("I1", customer_key="C9"))
    house.pull("invoices")
    (item,) = house.rows("select id, raw_record_id from process.exception")
    outcome = house.run(house.submit(EditAndReplay(id=item.id, changes={"customer_key": "C1"})))
    assert outcome["resolved"] == 1
    (row,) = house.rows("select customer_key, raw_record_id from canonical.invoice")
    assert (row.customer_key, row.raw_record_id != item.raw_record_id) == ("C1", True)
    assert house.rows("select count(*) as n from raw.page where kind = 'edit'")[0].n == 1
    with reading(house.engine) as conn:
        proof, corrected = original(conn, row.raw_record_id)
    assert (proof.raw_record_id, corrected) == (item.raw_record_id, {"customer_key": "C1"})
    house.serve("invoices", invoice("I2", customer_key="C9"))
    house.pull("invoices")
    (item,) = house.rows("select id from process.exception where state = 'new'")
    outcome = house.run(house.submit(EditAndReplay(id=item.id, changes={"secret": "1"}), "k2"))
    assert "can't be corrected here" in outcome["words"]


def test_a_preview_changes_nothing_and_says_what_would_happen(house: House) -> None:
    """What would land and what would fail, tried for real in a transaction that is undone."""
    house.serve("invoices", invoice("I1", customer_key="C9"), invoice("I2", currency="EURO"))
    house.pull("invoices")
    house.serve("customers", customer("C9"))
    house.pull("customers")
    found = replay_preview.preview(
        opened(house.engine), LANDSCAPE, query=ExceptionFilter(), now=NOW,
        tools=Tools(LANDSCAPE, open_source=lambda _connection, _landscape: house.source),
    )  # fmt: skip
    assert found.total == 2
    by_subject = {line.subject: line for line in found.lines}
    assert by_subject["invoice I1"].would == "would land in invoice"
    assert by_subject["invoice I2"].lands is False
    assert (house.states(), invoices(house)) == ({"I1": "new", "I2": "new"}, [])


def test_a_killed_replay_goes_on_where_it_stopped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies between two chunks leaves the first one done; the next run does the rest and nothing twice."""
    house.serve("invoices", *[invoice(f"I{n:02}", customer_key="C9") for n in range(10)])
    house.pull("invoices")
    house.serve("customers", customer("C9"))
    house.pull("customers")
    monkeypatch.setattr("sync.replay.CHUNK", 4)
    command = house.submit(ReplayExceptions(filter=ExceptionFilter()))
    original, calls = Replay._try, []

    def dies(self: Any, items: Any) -> Any:
        calls.append(len(items))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, items)

    monkeypatch.setattr("sync.replay.Replay._try", dies)
    with pytest.raises(KeyboardInterrupt):
        house.run(command)
    (row,) = house.rows("select state, done, total from process.command")
    assert (row.state, row.done, row.total) == ("running", 4, 10)
    house.run(command)
    (row,) = house.rows("select state, done, total from process.command")
    assert (row.state, row.done, row.total) == ("done", 10, 10)
    assert len(invoices(house)) == 10


@pytest.mark.slow
def test_ten_thousand_replay_in_one_action(house: House) -> None:
    """10,000 exceptions of one cause are filed in one statement and replayed to the last one."""
    for page in range(10):
        house.serve("invoices", *[invoice(f"I{page}-{n}", customer_key="C9") for n in range(1_000)])
    house.pull("invoices")
    assert house.rows("select count(*) as n from process.exception")[0].n == 10_000
    house.serve("customers", customer("C9"))
    house.pull("customers")
    outcome = house.replay(filter=ExceptionFilter(cause="unknown_customer"))
    assert outcome["resolved"] == 10_000
    assert house.rows("select count(*) as n from canonical.invoice")[0].n == 10_000

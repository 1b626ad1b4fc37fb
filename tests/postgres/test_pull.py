"""One pull of one stream, end to end on a real Postgres: nothing lost, nothing twice, every record counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from sync import leases, streams
from sync.errors import AuthError, DataError, QuotaError, TransientError
from sync.pull import PullResult, pull_stream
from tests.postgres.synthetic import LANDSCAPE, Database, MemorySource, connection, customer, invoice, order


def pull(engine: sa.Engine, source: MemorySource, stream: str, clock: FixedClock, trigger: str = "test", **more: Any) -> PullResult:
    """The stream pulled from the synthetic ERP."""
    erp = more.pop("connection", connection())
    return pull_stream(Database(engine), erp, LANDSCAPE, source, stream, clock=clock, trigger=trigger, **more)


def rows(engine: sa.Engine, query: str, **values: Any) -> list[Any]:
    """What `query` finds."""
    with reading(engine) as conn:
        return list(conn.execute(sa.text(query), values))


def test_a_pull_lands_promotes_and_counts(engine: sa.Engine, clock: FixedClock) -> None:
    """Two pages arrive as customers, with their bytes, a batch that adds up, the cursor, and the stream gone live."""
    source = MemorySource({"customers": [[customer("C1"), customer("C2")], [customer("C3")]]}, complete_until=clock.now())
    result = pull(engine, source, "customers", clock)
    assert (result.state, result.counts.received, result.counts.promoted) == ("done", 3, 3)
    assert rows(engine, "select count(*) from canonical.customer")[0][0] == 3
    assert rows(engine, "select count(*) from raw.page")[0][0] == 2
    state = rows(engine, "select * from process.stream where stream = 'customers'")[0]
    assert (state.cursor, state.live_since, state.complete_until) == ({"next": 2}, clock.now(), clock.now())
    assert state.lease_until is None
    assert rows(engine, "select state from process.run")[0][0] == "done"
    traced = rows(engine, "select c.raw_record_id, p.id from canonical.customer c join raw.page p on p.id = c.raw_record_id >> 24")
    assert len(traced) == 3


def test_every_record_is_counted_once(engine: sa.Engine, clock: FixedClock) -> None:
    """Received is the sum of promoted, unchanged, duplicates, superseded and quarantined, whatever comes."""
    first = [customer("C1", 5), customer("C1", 5), customer("C1", 3), customer("C2"), {"reject": "bad_amount", "source_key": "I9"}]
    source = MemorySource({"customers": [first]})
    counts = pull(engine, source, "customers", clock).counts
    assert counts.as_dict() == {"received": 5, "promoted": 2, "unchanged": 0, "duplicates": 1, "superseded": 1, "quarantined": 1}
    again = MemorySource({"customers": [first, [customer("C2"), customer("C1", 4), customer("C3")]]})
    source.pages = again.pages
    counts = pull(engine, source, "customers", clock).counts
    assert counts.as_dict() == {"received": 3, "promoted": 1, "unchanged": 1, "duplicates": 0, "superseded": 1, "quarantined": 0}
    counts = pull(engine, source, "customers", clock, full=True).counts
    assert counts.promoted == 0
    assert counts.duplicates >= 3
    bad = rows(engine, "select * from process.batch where received <> promoted + unchanged + duplicates + superseded + quarantined")
    assert bad == []
    assert rows(engine, "select count(*) from raw.page")[0][0] == 2


def test_what_breaks_its_contract_is_quarantined(engine: sa.Engine, clock: FixedClock) -> None:
    """A bad currency, an unknown customer and a missing key become exceptions with money at risk; their neighbours land."""
    pull(engine, MemorySource({"customers": [[customer("C1")]]}), "customers", clock)
    bad = [invoice("I1"), invoice("I2", currency="XXQ"), invoice("I3", customer_key="C9"), invoice("I4", gross="1.005"), invoice("")]
    result = pull(engine, MemorySource({"invoices": [bad]}), "invoices", clock)
    assert (result.counts.promoted, result.counts.quarantined) == (1, 4)
    found = {row.source_key: row for row in rows(engine, "select * from process.exception")}
    assert {key: row.cause for key, row in found.items()} == {
        "I2": "bad_currency", "I3": "unknown_customer", "I4": "bad_currency", "": "missing_field"}  # fmt: skip
    assert found["I3"].money_at_risk_reporting == 119
    assert found["I3"].state == "new"


def test_an_exception_resolves_itself_and_regresses(engine: sa.Engine, clock: FixedClock) -> None:
    """A newer good version closes the exception; when the record breaks again it is the same exception, regressed."""
    erp = connection(require_customer=False)
    source = MemorySource({"invoices": [[invoice("I1", 1, currency="XXQ")]]})
    pull(engine, source, "invoices", clock, connection=erp)
    source.pages["invoices"].append([invoice("I1", 2)])
    pull(engine, source, "invoices", clock, connection=erp)
    row = rows(engine, "select state, resolution from process.exception")[0]
    assert tuple(row) == ("resolved", "landed on its own")
    source.pages["invoices"].append([invoice("I1", 3, currency="XXQ")])
    pull(engine, source, "invoices", clock, connection=erp)
    found = rows(engine, "select state, regressed_from, occurrences from process.exception")
    assert [tuple(each) for each in found] == [("regressed", "landed on its own", 2)]


def test_events_come_from_the_difference(engine: sa.Engine, clock: FixedClock) -> None:
    """History makes ignored events, a blocked order of today stays actionable, and a release is told once."""
    erp = connection(require_customer=False)
    source = MemorySource({"orders": [[order("O1", 1, delivery_block="01"), order("O2", 1)]], "invoices": [[invoice("I1")]]})
    pull(engine, source, "orders", clock, connection=erp)
    pull(engine, source, "invoices", clock, connection=erp)
    told = {(row.type, row.source_key): row.state for row in rows(engine, "select * from process.event")}
    assert told == {
        ("order.created", "O1"): "ignored", ("order.created", "O2"): "ignored",
        ("order.blocked", "O1"): "new", ("invoice.posted", "I1"): "ignored"}  # fmt: skip
    clock.advance(timedelta(hours=1))
    later = clock.now().isoformat()
    source.pages["orders"].append([order("O1", 2, delivery_block="", changed_at=later)])
    pull(engine, source, "orders", clock, connection=erp)
    pull(engine, source, "orders", clock, connection=erp, full=True)
    told_now = rows(engine, "select state, objects from process.event where type = 'order.released'")
    assert [tuple(row) for row in told_now] == [("new", ["order:O1", "customer:erp:C1"])]


def test_backfilled_until_live(engine: sa.Engine, clock: FixedClock) -> None:
    """Rows of the first pull, and later ones changed before the stream went live, are history; younger ones are not."""
    source = MemorySource({"customers": [[customer("C1")]]})
    pull(engine, source, "customers", clock)
    later = (clock.now() + timedelta(minutes=1)).isoformat()
    source.pages["customers"].append([customer("C2"), customer("C3", changed_at=later)])
    clock.advance(timedelta(hours=1))
    pull(engine, source, "customers", clock)
    found = dict(tuple(row) for row in rows(engine, "select source_key, backfilled from canonical.customer"))
    assert found == {"C1": True, "C2": True, "C3": False}


def test_a_file_is_all_or_nothing_and_neighbours_go_on(engine: sa.Engine, clock: FixedClock) -> None:
    """A file that can't be believed keeps its bytes and an exception; nothing of it lands, the cursor passes, others land."""
    line = {"rows": [customer("C1"), invoice("I1"), {"entity": "payment_application", "source_key": "I1", "source_version": 1,
            "invoice_key": "I1", "amount": "119.00", "currency": "EUR", "clearing_date": "2026-03-09"}]}  # fmt: skip
    source = MemorySource({"files": [[line], [customer("C7"), {"refuse": "control_total"}], [customer("C8")]]})
    result = pull(engine, source, "files", clock)
    assert result.counts.as_dict() == {"received": 3, "promoted": 2, "unchanged": 0, "duplicates": 0, "superseded": 0, "quarantined": 1}
    assert [row[0] for row in rows(engine, "select source_key from canonical.customer order by 1")] == ["C1", "C8"]
    found = rows(engine, "select cause, kind, source_key, raw_record_id >> 24 as page from process.exception")[0]
    assert (found.cause, found.kind, found.source_key) == ("control_total", "file", "files-2.jsonl")
    assert rows(engine, "select count(*) from raw.page where id = :id", id=found.page)[0][0] == 1
    assert [each[1] for each in source.settled_files] == [True, False, True]
    marks = {tuple(row) for row in rows(engine, "select kind, key from measure.touched")}
    assert {("invoice", "I1"), ("customer", "C1"), ("customer", "C8"), ("stream", "files")} <= marks


@pytest.mark.parametrize(
    ("error", "kind", "paused"),
    [(TransientError("no answer"), "transient", False), (AuthError("refused"), "auth", True), (QuotaError("slow down"), "quota", False)],
)
def test_a_failing_source_keeps_what_came_before(engine: sa.Engine, clock: FixedClock, error: Exception, kind: str, paused: bool) -> None:
    """Pages before the failure are committed with their cursor; the stream knows why it failed; the next pull goes on from there."""

    def fail(_stream: str, number: int) -> None:
        if number == 1:
            raise error

    source = MemorySource({"customers": [[customer("C1")], [customer("C2")]]}, before_page=fail)
    result = pull(engine, source, "customers", clock)
    assert (result.state, result.counts.promoted) == ("failed", 1)
    state = rows(engine, "select * from process.stream where stream = 'customers'")[0]
    assert (state.cursor, state.last_error_kind, state.is_paused, state.live_since) == ({"next": 1}, kind, paused, None)
    if paused:
        assert pull(engine, source, "customers", clock).state == "paused"
        with writing(engine) as conn:
            streams.resume(conn, "erp", None)
    elif kind == "transient":
        assert pull(engine, source, "customers", clock, trigger="clock").state == "not_due"
    with writing(engine) as conn:
        streams.resume(conn, "erp", None)
    source.before_page = None
    assert pull(engine, source, "customers", clock).counts.promoted == 1
    assert rows(engine, "select state from process.exception where state <> 'resolved'") == []


def test_a_stale_lease_writes_nothing(engine: sa.Engine, clock: FixedClock) -> None:
    """A worker that slept past its lease is fenced: its page does not land, the present holder's work stands."""

    def steal(_stream: str, number: int) -> None:
        with writing(engine) as conn:
            conn.execute(sa.text("update process.stream set lease_until = clock_timestamp() - interval '1 second'"))
            assert leases.acquire(conn, "erp", "customers", "another", now=clock.now()) is not None

    source = MemorySource({"customers": [[customer("C1")]]}, before_page=steal)
    result = pull(engine, source, "customers", clock)
    assert result.state == "busy"
    assert rows(engine, "select count(*) from canonical.customer")[0][0] == 0
    assert rows(engine, "select count(*) from raw.page")[0][0] == 0
    assert rows(engine, "select lease_owner, lease_token from process.stream where stream = 'customers'")[0] == ("another", 2)
    assert pull(engine, MemorySource({}), "customers", clock).state == "busy"


def test_orders_wait_for_the_customers(engine: sa.Engine, clock: FixedClock) -> None:
    """The first pull of orders waits until the source's customers have come, so that none is refused for coming first."""
    source = MemorySource({"customers": [[customer("C1")]], "orders": [[order("O1")]]})
    assert pull(engine, source, "orders", clock).state == "waiting"
    pull(engine, source, "customers", clock)
    assert pull(engine, source, "orders", clock).counts.promoted == 1


def test_the_watermark_never_goes_back(engine: sa.Engine, clock: FixedClock) -> None:
    """An earlier promise of completeness after a later one leaves the watermark where it is."""
    source = MemorySource({"customers": [[customer("C1")]]}, complete_until=clock.now())
    pull(engine, source, "customers", clock)
    source.complete_until = datetime(2020, 1, 1, tzinfo=UTC)
    pull(engine, source, "customers", clock, full=True)
    assert rows(engine, "select complete_until from process.stream where stream = 'customers'")[0][0] == clock.now()


def test_a_record_that_the_database_refuses_is_alone(engine: sa.Engine, clock: FixedClock) -> None:
    """A value that passes the contract but not the database is quarantined; its neighbours land."""
    with writing(engine) as conn:
        conn.execute(sa.text("alter table canonical.invoice add constraint no_thirteen check (number <> 'I13')"))
    source = MemorySource({"invoices": [[invoice(f"I{number}") for number in range(20)]]})
    result = pull(engine, source, "invoices", clock, connection=connection(require_customer=False))
    assert (result.counts.promoted, result.counts.quarantined) == (19, 1)
    assert rows(engine, "select cause, source_key from process.exception") == [("malformed_record", "I13")]


def test_schema_drift_pauses_the_stream(engine: sa.Engine, clock: FixedClock) -> None:
    """When a needed field is gone from a page, its records are quarantined with their bytes landed, and the stream is paused."""
    source = MemorySource({"customers": [[customer(f"C{n}") for n in range(10)]]})
    pull(engine, source, "customers", clock)
    gone = [{name: value for name, value in customer(f"C{n}", 2).items() if name != "source_key"} | {"source_key": ""} for n in range(10)]
    for record in gone:
        del record["name"]
    source.pages["customers"] += [gone, [customer("C77")]]
    result = pull(engine, source, "customers", clock)
    assert result.state == "failed"
    row = rows(engine, "select is_paused, paused_reason, cursor from process.stream where stream = 'customers'")[0]
    assert row.is_paused
    assert "schema drift: 10 of 11 records" in row.paused_reason
    assert "gone: name" in row.paused_reason
    assert rows(engine, "select count(*) from raw.page")[0][0] == 3
    assert rows(engine, "select count(*), min(cause) from process.exception where kind = 'record'")[0] == (10, "missing_field")
    (told,) = rows(engine, "select cause, message, evidence, state from process.exception where kind = 'stream'")
    assert (told.cause, told.state, told.evidence["gone"], told.evidence["records"]) == ("schema_drift", "new", ["name"], 10)
    with writing(engine) as conn:
        streams.resume(conn, "erp", "customers")
    assert pull(engine, source, "customers", clock).state == "done"
    assert rows(engine, "select state from process.exception where kind = 'stream'")[0].state == "resolved"
    assert rows(engine, "select distinct contract_version from canonical.customer")[0][0] == 1


def test_a_bad_record_with_an_empty_field_is_no_drift(engine: sa.Engine, clock: FixedClock) -> None:
    """A page of one record, whose country nobody has filled in and whose day is none: it is quarantined alone, the stream goes on."""
    source = MemorySource({"customers": [[customer(f"C{n}", country="DE") for n in range(3)]]})
    pull(engine, source, "customers", clock)
    source.pages["customers"].append([customer("C1", 2, country=None) | {"reject": "bad_date"}])
    result = pull(engine, source, "customers", clock)
    assert (result.state, result.counts.quarantined) == ("done", 1)
    row = rows(engine, "select is_paused, fields_seen from process.stream where stream = 'customers'")[0]
    assert (row.is_paused, row.fields_seen["country"]) == (False, "str")


def test_a_source_that_finds_its_fields_gone_is_told_as_drift(engine: sa.Engine, clock: FixedClock) -> None:
    """A system that says itself that a field is gone makes one exception with that cause, and nothing is pulled."""

    def gone(_stream: str, _number: int) -> None:
        raise DataError("the field Nothing__c is gone", cause="schema_drift", evidence={"gone": ["Nothing__c"]})

    source = MemorySource({"customers": [[customer("C1")]]}, before_page=gone)
    assert pull(engine, source, "customers", clock).state == "failed"
    (told,) = rows(engine, "select cause, evidence, kind from process.exception")
    assert (told.cause, told.evidence, told.kind) == ("schema_drift", {"gone": ["Nothing__c"]}, "stream")

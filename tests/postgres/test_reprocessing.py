"""Landed bytes go through the same door again, as they are or with a person's correction."""

from __future__ import annotations

import json
import time
from typing import Any

import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from sync import quarantine, reprocessing
from sync.connections import Connection
from sync.pull import pull_stream
from tests.postgres.synthetic import LANDSCAPE, Database, MemorySource, connection, customer, invoice

ERP = connection()


def pull(engine: sa.Engine, clock: FixedClock, source: MemorySource, stream: str, erp: Connection = ERP) -> None:
    """One pull of the synthetic ERP."""
    result = pull_stream(Database(engine), erp, LANDSCAPE, source, stream, clock=clock, trigger="test")
    assert result.state == "done", result


def rows(engine: sa.Engine, query: str) -> list[Any]:
    """What `query` finds."""
    with reading(engine) as conn:
        return [tuple(row) for row in conn.execute(sa.text(query))]


def test_what_waited_for_its_customer_lands_when_it_comes(engine: sa.Engine, clock: FixedClock) -> None:
    """An invoice refused for an unknown customer is promoted from its landed bytes once the customer is there."""
    source = MemorySource({"customers": [[customer("C7")]], "invoices": [[invoice("I1"), invoice("I2", customer_key="C9")]]})
    pull(engine, clock, source, "customers")
    pull(engine, clock, source, "invoices")
    assert rows(engine, "select count(*) from process.exception where state = 'new'") == [(2,)]
    source.pages["customers"].append([customer("C1")])
    pull(engine, clock, source, "customers")
    again = reprocessing.retry_unknown_customers(engine, ERP, LANDSCAPE, source, now=clock.now())
    assert [each.outcome for each in again] == ["promoted"]
    assert rows(engine, "select source_key, state from process.exception order by 1") == [("I1", "resolved"), ("I2", "new")]
    assert reprocessing.retry_unknown_customers(engine, ERP, LANDSCAPE, source, now=clock.now()) == []


def test_replaying_everything_changes_nothing(engine: sa.Engine, clock: FixedClock) -> None:
    """All landed records once more: no row, no event, no exception more than before."""
    source = MemorySource({"invoices": [[invoice("I1"), invoice("I2", currency="XXQ")], [invoice("I1", 2, gross="10.00")]]})
    erp = connection(require_customer=False)
    pull(engine, clock, source, "invoices", erp)
    facts = "select count(*), sum(gross), sum(source_version) from canonical.invoice"
    state = [
        rows(engine, query)
        for query in (
            facts,
            "select count(*) from canonical.invoice_history",
            "select count(*), sum(occurrences) from process.exception",
            "select count(*) from process.event",
        )
    ]
    ids = [page << 24 | ordinal for (page,) in rows(engine, "select id from raw.page") for ordinal in range(2)]
    with writing(engine) as conn:
        again = reprocessing.reprocess(conn, erp, LANDSCAPE, source, ids, now=clock.now())
    assert sorted(each.outcome for each in again) == ["missing", "quarantined", "superseded", "unchanged"]
    assert state == [
        rows(engine, query)
        for query in (
            facts,
            "select count(*) from canonical.invoice_history",
            "select count(*), sum(occurrences) from process.exception",
            "select count(*) from process.event",
        )
    ]


def test_an_edited_copy_lands_and_names_its_parent(engine: sa.Engine, clock: FixedClock) -> None:
    """The correction is a raw page of its own; the row points to it; the unchanged original does not undo it nor come back."""
    source = MemorySource({"invoices": [[invoice("I0"), invoice("I1", currency="XXQ")]]})
    erp = connection(require_customer=False)
    pull(engine, clock, source, "invoices", erp)
    [(bad,)] = rows(engine, "select raw_record_id from process.exception")
    with writing(engine) as conn:
        copy = reprocessing.edit(conn, bad, {"currency": "EUR", "due_date": "2026-04-30"}, now=clock.now())
        [again] = reprocessing.reprocess(conn, erp, LANDSCAPE, source, [copy], now=clock.now())
    assert (again.raw_record_id, again.outcome) == (copy, "promoted")
    assert rows(engine, "select currency, due_date::text, raw_record_id from canonical.invoice where source_key = 'I1'") == [
        ("EUR", "2026-04-30", copy)
    ]
    kind, headers, body = rows(engine, f"select kind, headers, convert_from(body, 'utf8') from raw.page where id = {copy >> 24}")[0]
    assert (kind, headers, json.loads(body)["parent"]) == ("edit", {"parent": str(bad)}, bad)
    with writing(engine) as conn:
        conn.execute(sa.text("update process.exception set resolution = :words"), {"words": quarantine.EDITED})
    source.pages["invoices"].append([invoice("I1", currency="XXQ"), invoice("I5")])
    pull(engine, clock, source, "invoices", erp)
    assert rows(engine, "select state from process.exception") == [("resolved",)]
    assert rows(engine, "select currency from canonical.invoice where source_key = 'I1'") == [("EUR",)]


def test_a_correction_that_is_wrong_is_quarantined_again(engine: sa.Engine, clock: FixedClock) -> None:
    """A value that can't be read says so; nothing lands."""
    source = MemorySource({"invoices": [[invoice("I1", currency="XXQ")]]})
    erp = connection(require_customer=False)
    pull(engine, clock, source, "invoices", erp)
    [(bad,)] = rows(engine, "select raw_record_id from process.exception")
    with writing(engine) as conn:
        copy = reprocessing.edit(conn, bad, {"due_date": "31.02.2026", "currency": "EUR"}, now=clock.now())
        [again] = reprocessing.reprocess(conn, erp, LANDSCAPE, source, [copy], now=clock.now())
    assert again.outcome == "quarantined"
    assert "31.02.2026" in (again.words or "")
    assert rows(engine, "select count(*) from canonical.invoice") == [(0,)]


def test_ten_thousand_of_one_cause_are_one_group(engine: sa.Engine, clock: FixedClock) -> None:
    """Ten thousand bad records are quarantined in seconds, one row each, one fingerprint; read again, they are still the same."""
    bad = [[invoice(f"I{page * 1000 + n}", currency="XXQ") for n in range(1000)] for page in range(10)]
    source = MemorySource({"invoices": bad})
    erp = connection(require_customer=False)
    began = time.monotonic()
    pull(engine, clock, source, "invoices", erp)
    assert time.monotonic() - began < 60
    assert rows(engine, "select count(*), count(distinct fingerprint) from process.exception") == [(10_000, 1)]
    source.pages["invoices"] = [[*page, invoice("X", currency="XXQ")] for page in bad]
    pull_stream(Database(engine), erp, LANDSCAPE, source, "invoices", clock=clock, trigger="test", full=True)
    assert rows(engine, "select count(*), max(occurrences) from process.exception") == [(10_001, 1)]

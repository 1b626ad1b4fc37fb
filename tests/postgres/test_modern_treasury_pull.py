"""The second treasury platform in a real Postgres: its book balances, no cash is counted twice, and a webhook brings what it names."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import reading, writing
from metrics import invariants
from sandbox import Running
from sandbox.modern_treasury import objects
from sandbox.world import operating
from sync import hints, webhooks
from sync.ingest import opened_source
from sync.ports import Rereading
from sync.pull import pull_stream
from sync.systems.registry import door
from tests.contracts.suite_sandbox import module_box
from tests.postgres.sandbox_house import SandboxHouse, furnish

pytestmark = pytest.mark.xdist_group("modern-treasury-pull")
"""One worker: two would start the sandbox twice."""

NAME = "modern-treasury"


box = module_box(customers=12, history_days=40)


def _pulled(engine: sa.Engine, box: Running) -> SandboxHouse:
    house = furnish(engine, box)
    results = house.pull("kyriba", NAME, "bank-emea", "ecb")
    assert {(r.connection, r.stream, r.state, r.counts.quarantined) for r in results if r.connection in (NAME, "ecb")} == {
        (r.connection, r.stream, "done", 0) for r in results if r.connection in (NAME, "ecb")
    }
    return house


def test_every_account_stands_once_in_the_cash_position(engine: sa.Engine, box: Running) -> None:
    """What the position shows is what the banks closed with, account by account, the operating account among them; the book balances."""
    house = _pulled(engine, box)
    shown = house.rows("select source, account, amount, currency from measure.cash_position")
    mine = [row for row in shown if row.source == NAME]
    told = {one["account"]: one for one in house.ask("/control/truth")["banks"]}
    assert [(row.account, row.amount, row.currency) for row in mine] == [
        (objects.ACCOUNT_ID, Decimal(told[operating.ACCOUNT.code]["closing"]), "USD")
    ]
    assert len(shown) == len(told)
    with reading(engine) as conn:
        assert [
            found for found in invariants.check(conn, now=house.clock.now()) if "balance" in found.invariant or "lineage" in found.invariant
        ] == []
    before = house.rows("select count(*) from canonical.bank_transaction")[0][0]
    again = house.pull(NAME)
    assert sum(result.counts.promoted for result in again) == 0
    assert house.rows("select count(*) from canonical.bank_transaction")[0][0] == before


def test_a_webhook_has_the_record_read_again(engine: sa.Engine, box: Running) -> None:
    """A verified event is kept once and names the record; its deletion is found by reading it; the same event again does nothing."""
    house = _pulled(engine, box)
    key = str(house.rows("select min(source_key) from canonical.bank_transaction where source = 'modern-treasury'")[0][0])
    known = objects.transactions(box.world)
    gone = "00000000-aaaa-bbbb-cccc-000000000000"
    with writing(engine) as conn:
        conn.execute(
            sa.text("update canonical.bank_transaction set source_key = :gone where source = 'modern-treasury' and source_key = :key"),
            {"gone": gone, "key": key},
        )
    connection = house.landscape.connection(NAME)
    body = json.dumps({"event": "deleted", "data": {"id": gone, "object": "transaction"}}).encode()
    headers = {"x-signature": hmac.new(b"hook", body, hashlib.sha256).hexdigest(), "x-webhook-id": "w-1", "x-topic": "transaction"}
    knocker = door(connection)
    knocker.check(headers, body, ["hook"], now=house.clock.now())
    with writing(engine) as conn:
        first = webhooks.accept(conn, connection, knocker, headers, body, now=house.clock.now())
        second = webhooks.accept(conn, connection, knocker, headers, body, now=house.clock.now())
        noted = hints.open_hints(conn, NAME, "transactions")
    assert (first.duplicates, second.duplicates, noted.keys) == (0, 1, (gone,))
    with opened_source(connection, house.landscape) as source:
        assert isinstance(source, Rereading)
        pages = source.reread("transactions", [*noted.keys, key], now=house.clock.now())
        done = pull_stream(
            house.database, connection, house.landscape, source, "transactions", clock=house.clock, trigger="webhook", pages=pages
        )
    assert done.state == "done"
    rows = dict(house.rows("select source_key, is_deleted from canonical.bank_transaction where source_key = any(:keys)", keys=[gone, key]))
    assert rows == {gone: True, key: False}
    assert any(one["id"] == key for one in known)


def test_each_connection_of_the_file_proves_itself(engine: sa.Engine, box: Running, tmp_path: Path) -> None:
    """`connections test` of the second platform and of the rates: every line is well."""
    house = furnish(engine, box)
    for name in (NAME, "ecb"):
        with opened_source(house.landscape.connection(name), house.landscape) as source:
            findings = list(source.probe(now=house.clock.now()))  # type: ignore[attr-defined]
        assert [one for one in findings if not one.ok] == []
        assert any(one.what == "clock" for one in findings)


def test_a_broken_transaction_is_quarantined_until_it_is_mended(engine: sa.Engine, box: Running) -> None:
    """One bad amount beside a good amount_string: one exception, its neighbours stand; mended at the source, the next reading brings it
    and closes the exception.
    """
    house = furnish(engine, box)
    newest = [one for one in objects.transactions(box.world) if one["posted"]][-1]["id"]
    broken = house.act("break_record", system=NAME, entity="transactions", how="bad_amount", key=newest)
    try:
        results = {result.stream: result for result in house.pull(NAME)}
        assert (results["transactions"].state, results["transactions"].counts.quarantined) == ("done", 1)
        query = "select state, cause from process.exception where source_key = :key"
        assert [tuple(row) for row in house.rows(query, key=broken["key"])] == [("new", "bad_amount")]
    finally:
        house.act("fix_record", system=NAME, entity="transactions", key=broken["key"])
    results = {result.stream: result for result in house.pull(NAME)}
    assert (results["transactions"].state, results["transactions"].counts.quarantined) == ("done", 0)
    assert [row[0] for row in house.rows(query, key=broken["key"])] == ["resolved"]

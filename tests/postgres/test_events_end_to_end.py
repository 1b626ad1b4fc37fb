"""A change in the world, the sender's own event, the real API over a real socket, Postgres, and the record read again: end to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

import sandbox
from app.office import Office
from db.engine import reading, writing
from db.settings import Settings
from sandbox import Running
from sandbox.modern_treasury.objects import ACCOUNT_ID
from sandbox.world.reference import LEGAL_ENTITIES, S4_HOSTS
from sync import landing, ports, queue, streams, tasks
from sync.systems.registry import system
from tests.postgres.doors_house import serving
from tests.postgres.sandbox_house import SandboxHouse, furnish

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
PATIENCE = 90.0
TELLERS = ("salesforce", "sap-emea", "sap-na", "sap-apac", "modern-treasury")


@dataclass
class Wire:
    """A sandbox whose senders are pointed at a running API, and the house behind it."""

    box: Running
    house: SandboxHouse
    shop: tasks.Shop
    url: str

    def point(self, name: str, **more: Any) -> None:
        """Has a system's events sent to the API."""
        self.house.ask("/control/receivers", {"system": name, "url": f"{self.url}/webhooks/{name}", **more})

    def live(self, name: str, *wanted: str) -> None:
        """Registers and reads the streams of a connection, so that what follows is a change."""
        connection = self.house.landscape.connection(name)
        source = self.shop.source(connection, wanted[0])
        with writing(self.house.database.engine) as conn:
            streams.register(conn, connection, [each for each in source.streams() if each.name in wanted])
        self.house.tick()
        for each in wanted:
            assert tasks.pull(self.shop, name, each, "clock").state == "done"

    def sender(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.house.ask("/control/receivers")["senders"][name]
        return found

    def settled(self, *names: str) -> None:
        """Waits until everything those senders had to tell has been answered."""
        self.wait(lambda: all(self.sender(name)["waiting"] == 0 for name in names), f"an empty queue of {', '.join(names)}")

    def wait(self, enough: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE
        while not enough():
            assert time.monotonic() < until, f"waited in vain for {what}: {self.house.ask('/control/receivers')}"
            time.sleep(0.05)

    def events(self, name: str) -> list[str]:
        return [row[0] for row in self.house.rows("select event_id from process.webhook where connection = :name order by id", name=name)]

    def hints(self, name: str, stream: str) -> list[tuple[list[str], bool]]:
        """(keys, whether it has been looked at) of every hint."""
        query = "select keys, settled_at is not null from process.hint where connection = :name and stream = :stream order by id"
        return [(row[0], row[1]) for row in self.house.rows(query, name=name, stream=stream)]

    def runs(self, name: str, stream: str) -> int:
        """How many pulls webhooks have caused."""
        query = "select count(*) from process.run where connection = :name and stream = :stream and trigger = 'webhook'"
        return int(self.house.rows(query, name=name, stream=stream)[0][0])

    def work(self) -> None:
        """Does everything that stands in the queue of pulls, as the worker does."""
        self.house.tick()
        regions = [name for name in queue.queues(self.house.landscape) if name.startswith("region:")]

        async def run() -> None:
            app = tasks.make_app(self.shop)
            async with app.open_async():
                await app.run_worker_async(queues=regions, wait=False, install_signal_handlers=False, listen_notify=False)

        asyncio.run(run())


@pytest.fixture
def wire(engine: sa.Engine, tmp_path: Path) -> Iterator[Wire]:
    with sandbox.running(tmp_path / "world", customers=6, history_days=20, start_at=OPENED) as box:
        house = furnish(engine, box)
        shop = tasks.Shop(house.database, house.landscape, house.clock)
        office = Office(Settings(tmp_path, house.database.url, tmp_path / "none.toml"), house.database, house.landscape, house.clock)
        with serving(office) as url:
            yield Wire(box, house, shop, url)
        shop.close()


def test_a_change_is_told_kept_and_read_again_once(wire: Wire) -> None:
    """A contract is activated: Salesforce tells of it, the ERP of its order; each is read again, once. What nobody reads does no harm."""
    wire.live("salesforce", "accounts", "contracts")
    host = next(c.host for c in _customers(wire))
    wire.live(host, "customers", "sales_orders")
    for name in TELLERS:
        wire.point(name)
    customer = next(c.number for c in _customers(wire) if c.host == host)
    made = wire.house.act("activate_contract", customer=customer)
    wire.settled("outbound-messages", "change-data-capture", host)
    assert [keys for keys, _ in wire.hints(host, "sales_orders")] == [[made["order"]]]
    assert [keys for keys, _ in wire.hints("salesforce", "contracts")] == [[made["id"]]]
    assert any(event.startswith("cdc:Order:") for event in wire.events("salesforce"))  # an object that nothing reads: noted, no more
    wire.work()
    for name, stream in ((host, "sales_orders"), ("salesforce", "contracts")):
        assert [settled for _, settled in wire.hints(name, stream)] == [True]
        assert wire.runs(name, stream) == 2  # the pull by stamp, and the record by its key
    assert wire.house.rows("select source from canonical.sales_order where source_key = :key", key=made["order"])[0][0] == host
    assert wire.house.rows("select status from canonical.contract where source_key = :key", key=made["id"])[0][0] == "activated"
    before = wire.runs(host, "sales_orders")
    wire.work()
    assert wire.runs(host, "sales_orders") == before


@dataclass(frozen=True)
class _Customer:
    number: str
    host: str


def _customers(wire: Wire) -> list[_Customer]:
    """Customers of the S/4 hosts, in the CRM."""
    world = wire.box.world
    known = {account.customer for account in world.accounts.values()}
    found = [_Customer(one.number, LEGAL_ENTITIES[one.entity].host) for one in world.customers.values() if one.number in known]
    return [one for one in found if one.host in S4_HOSTS]


def _expect(wire: Wire, amount: int) -> str:
    """A colleague tells the treasury platform to expect a payment; returns its id."""
    known = wire.box.system("modern-treasury")
    body = {
        "direction": "credit", "internal_account_id": ACCOUNT_ID, "amount_lower_bound": amount, "amount_upper_bound": amount,
        "currency": "USD", "date_upper_bound": "2026-12-01", "date_lower_bound": "2026-12-01",
    }  # fmt: skip
    auth = (known["organization_id"], known["api_key"])
    answer = httpx.post(f"{known['base_url']}/api/expected_payments", json=body, auth=auth, timeout=30)
    assert answer.status_code == 201
    wire.house.ask("/control/clock")
    return str(answer.json()["id"])


def _held(wire: Wire, key: str) -> bool:
    return bool(wire.house.rows("select 1 from canonical.forecast_item where source_key = :key", key=key))


def test_fifty_copies_are_one_reread(wire: Wire) -> None:
    """Fifty copies of one event at the same moment: all answered, one noted, one job, the record read once."""
    wire.live("modern-treasury", "expected_payments")
    wire.point("modern-treasury")
    wire.house.ask("/control/faults", {"system": "modern-treasury", "kind": "event_duplicate", "times": 1, "copies": 50})
    key = _expect(wire, 12_345)
    wire.settled("modern-treasury")
    state = wire.sender("modern-treasury")
    assert (state["sent"], state["refused"], state["unreached"]) == (50, 0, 0)
    assert len(wire.events("modern-treasury")) == 1
    assert [keys for keys, _ in wire.hints("modern-treasury", "expected_payments")] == [[key]]
    wire.work()
    assert wire.runs("modern-treasury", "expected_payments") == 2
    assert _held(wire, key)


def test_what_is_not_proven_changes_nothing(wire: Wire) -> None:
    """Every sender with a wrong proof: refused, nothing kept. The same event rightly signed is then taken."""
    wire.live("salesforce", "accounts", "contracts")
    for name in TELLERS:
        wire.point(name)
    for name in TELLERS:
        wire.house.ask("/control/faults", {"system": name, "kind": "event_forged"})
    customer = next(c.number for c in _customers(wire) if c.host == "sap-emea")
    wire.house.act("activate_contract", customer=customer)
    _expect(wire, 777)
    told = ("outbound-messages", "change-data-capture", "sap-emea", "modern-treasury")
    wire.wait(lambda: all(wire.sender(name)["refused"] >= 1 for name in told), "a refusal of each")
    assert all(wire.sender(name)["taken"] == 0 for name in told)
    assert wire.house.rows("select count(*) from process.webhook")[0][0] == 0
    assert wire.house.rows("select count(*) from raw.page where kind = 'webhook'")[0][0] == 0
    httpx.delete(f"{wire.house.control}/control/faults", timeout=30).raise_for_status()
    wire.settled(*told)
    assert all(wire.sender(name)["taken"] >= 1 for name in told)
    assert {name for name in TELLERS if wire.events(name)} == {"salesforce", "sap-emea", "modern-treasury"}


def test_a_lost_event_is_brought_by_the_pull(wire: Wire) -> None:
    """No event, no hint: the next pull finds what changed all the same."""
    wire.live("modern-treasury", "expected_payments")
    wire.point("modern-treasury")
    wire.house.ask("/control/faults", {"system": "modern-treasury", "kind": "event_lost"})
    key = _expect(wire, 4_711)
    wire.wait(lambda: wire.sender("modern-treasury")["lost"] >= 1, "the loss")
    assert wire.events("modern-treasury") == []
    wire.house.tick()
    assert tasks.pull(wire.shop, "modern-treasury", "expected_payments", "person").state == "done"
    assert _held(wire, key)


def test_an_echo_of_our_own_write_is_dropped_and_a_colleagues_change_is_not(wire: Wire) -> None:
    """Our write-back changes the account and Salesforce tells of it: taken, and nothing follows. A colleague's change is read again."""
    wire.live("salesforce", "accounts")
    wire.point("salesforce")
    connection = wire.house.landscape.connection("salesforce")
    number = next(str(a.erp_number) for a in wire.box.world.accounts.values() if a.erp_number)
    told = {"customer_number": number, "status": "reminder", "overdue_amount": "10.00", "currency": "EUR",
            "as_of": "2026-11-23T06:00:00+00:00", "version": 1}  # fmt: skip
    target = system(connection).make_target(connection, wire.house.landscape)
    assert target is not None
    assert target.apply(ports.Order(f"collections:{number}:1", "update_collections", number, told)).outcome == "applied"
    target.close()
    wire.wait(lambda: wire.sender("change-data-capture")["taken"] == 1, "the echo")
    assert wire.events("salesforce") == []
    assert wire.hints("salesforce", "accounts") == []
    wire.house.act("break_record", system="salesforce", entity="Account", how="bad_date", key=number)
    wire.settled("change-data-capture")
    assert [len(keys) for keys, _ in wire.hints("salesforce", "accounts")] == [1]


def test_gaps_and_overflows_are_read_as_what_they_are(wire: Wire) -> None:
    """A gap event names its record; an overflow has the whole object read from its beginning. The session of a message is kept nowhere."""
    wire.live("salesforce", "accounts", "contracts")
    wire.point("salesforce")
    for how in ("gap", "overflow"):
        wire.house.ask("/control/faults", {"system": "salesforce", "kind": "event_gap", "times": 1, "how": how})
        wire.house.act("break_record", system="salesforce", entity="Account", how="bad_date")
        wire.settled("change-data-capture")
    found = wire.house.rows("select cardinality(keys), whole from process.hint where stream = 'accounts' order by id")
    assert [tuple(row) for row in found] == [(1, False), (0, True)]
    wire.house.act("new_contract")
    wire.settled("outbound-messages")
    pages = wire.house.rows("select id from raw.page where kind = 'webhook'")
    with reading(wire.house.database.engine) as conn:
        bodies = [landing.read(conn, row[0]).page.body for row in pages]
    assert len([body for body in bodies if b"OrganizationId" in body]) == 1
    assert not any(b"sandbox.session" in body for body in bodies)
    wire.work()
    assert all(settled for _, settled in wire.hints("salesforce", "accounts"))

"""Against the sandbox's hosts the picture is the world's own, at first and after everything that happens to it."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import pytest

from sandbox import Running
from sync.connections import Connection, Landscape, LegalEntity
from sync.errors import PermanentError, SourceError, UnknownOutcome
from sync.http_gate import _GATES
from sync.ports import Cursor, Order
from sync.systems.sap_s4 import make_source, make_target
from sync.systems.sap_s4.walk import Query
from tests.contracts.suite_sandbox import DISORDER, Dial, PagedSandboxSuite, Reading, module_box, renamed
from tests.contracts.suite_store import Store, pull

pytestmark = pytest.mark.xdist_group("sap-s4-sandbox")
"""One worker: two would start the sandbox twice."""

LANDSCAPE = Landscape(
    legal_entities=tuple(
        LegalEntity(code=code, name=code, region="EMEA", currency=currency, company_code=company)
        for code, currency, company in (("DE01", "EUR", "1010"), ("GB01", "GBP", "1020"))
    )
)


class Reader:
    """The sandbox's sap-emea and what we know of it after our pulls."""

    def __init__(self, running: Running, connection: Connection | None = None) -> None:
        self.running = running
        self.store = Store()
        self.cursors: dict[str, Cursor | None] = {}
        known = running.system("sap-emea")
        os.environ["S4_TEST_USER"], os.environ["S4_TEST_PASSWORD"] = known["user"], known["password"]
        self.connection = connection or Connection(
            name="sap-emea", system="sap_s4", region="EMEA", legal_entities=("DE01", "GB01"), allow_private_addresses=True,
            options={"base_url": known["base_url"]}, secrets={"user": "env:S4_TEST_USER", "password": "env:S4_TEST_PASSWORD"},
        )  # fmt: skip

    def read(self) -> int:
        """Pulls every stream; how many records came."""
        source, count = make_source(self.connection, LANDSCAPE), 0
        try:
            for stream in source.streams():
                done = pull(source, stream.name, self.cursors.get(stream.name), self.store, now=self.running.world.now)
                self.cursors[stream.name] = done.cursor
                count += sum(mapped.records for mapped in done.mapped)
        finally:
            source.close()
        return count

    def check(self) -> None:
        """Holds invoices, open amounts, due days, payments and limits against the world."""
        world = self.running.world
        bills = {number: one for number, one in world.invoices.items() if one.host == "sap-emea"}
        invoices = self.store.live("invoice")
        assert invoices.keys() == bills.keys()
        open_amounts = {key: row["gross"] for key, row in invoices.items()}
        for row in self.store.live("payment_application").values():
            if not row["is_reversed"]:
                open_amounts[row["invoice_key"]] -= row["amount"]
        assert {key: amount for key, amount in open_amounts.items() if amount != bills[key].open} == {}
        assert {key: row["due_date"] for key, row in invoices.items()} == {key: one.due for key, one in bills.items()}
        assert {key for key, row in invoices.items() if row["is_disputed"]} == {key for key, one in bills.items() if one.disputed}
        posted = {one.id: one for one in world.payments.values() if one.posted_at and one.entity in ("DE01", "GB01")}
        payments = {row["reference"]: row for row in self.store.live("payment").values()}
        assert {key: row["amount"] for key, row in payments.items()} == {key: one.amount for key, one in posted.items()}
        assert {k for k, row in payments.items() if row["status"] == "returned"} == {k for k, one in posted.items() if one.reversed}
        limits = {row["customer_key"]: row["limit_amount"] for row in self.store.live("credit_limit").values()}
        assert limits == {one.number: one.limit for one in world.customers.values() if one.entity in ("DE01", "GB01")}
        assert self.store.rejects == []


box = module_box(customers=24, history_days=120)


@pytest.fixture(scope="module")
def reader(box: Running) -> Reader:
    return Reader(box)


@pytest.fixture
def reading(box: Running, reader: Reader) -> Reading:
    """The bills, page by page: nothing is asked for before a fault is set that it should meet."""
    small = reader.connection.model_copy(update={"options": {**reader.connection.options, "page_size": 20, "read_ahead": 1}})
    return Reading(
        box, "sap-emea", "A_BillingDocument", "billing_documents", lambda: make_source(renamed(small), LANDSCAPE),
        truth=lambda: {number: one.sign * one.gross for number, one in box.world.invoices.items() if one.host == "sap-emea"}, held=_grosses,
    )  # fmt: skip


def _grosses(store: Store) -> dict[str, Decimal]:
    return {key: row["gross"] for key, row in store.live("invoice").items()}


class TestReading(PagedSandboxSuite):
    @pytest.fixture(params=[*DISORDER, ("repeated_page", {})], ids=lambda param: param[0])
    def disorder(self, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
        """A page goes on where the last record stands, so that a link that names its own page is harmless too."""
        disorder: tuple[str, dict[str, Any]] = request.param
        return disorder


def test_the_first_read_is_the_world(reader: Reader) -> None:
    """Two years of part payments, returns, credits and cancellations give every open amount to the cent."""
    reader.read()
    reader.check()
    assert reader.read() < 40, "a second read brings little more than the overlap"


def test_pages_are_small_and_read_once(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pages of every stream, some asked for ahead, give the same picture: a host that heeds what it is asked is not read in passes."""

    def never(query: Query, *_: object) -> None:
        raise AssertionError(f"{query.entity_set.path} is read over and over")

    monkeypatch.setattr("sync.systems.sap_s4.reading.Passes", never)
    options = {**reader.connection.options, "page_size": 10, "read_ahead": 4}
    small = Reader(reader.running, connection=reader.connection.model_copy(update={"name": "sap-emea-small", "options": options}))
    small.read()
    small.check()


def test_what_happens_is_followed(reader: Reader, dial: Dial) -> None:
    """Payments in part and in full, returns, disputes, limits and twelve days of life are followed by small reads."""
    reader.read()
    billed = dial.act("invoice", order=_deliverable(reader, dial))
    reader.read()
    part = (Decimal(billed["gross"]) / 2).quantize(Decimal("0.01"))
    for act in (
        {"do": "pay", "invoice": billed["invoice"], "amount": str(part)},
        {"do": "pay", "invoice": billed["invoice"]},
        {"do": "return_payment"},
        {"do": "change_limit"},
    ):
        dial.act(**act)
        reader.read()
        reader.check()
    for _ in range(4):
        dial.advance(days=3)
        reader.read()
        reader.check()


def _deliverable(reader: Reader, dial: Dial) -> str:
    """An order of its own that was just released."""
    number, target = _blocked(reader, dial), make_target(reader.connection, LANDSCAPE)
    assert target.apply(_order(number)).outcome == "applied"
    target.close()
    return number


def _blocked(reader: Reader, dial: Dial) -> str:
    return str(dial.act("activate_contract", customer=_customer(reader), value="1000")["order"])


def _customer(reader: Reader) -> str:
    return next(one.number for one in reader.running.world.customers.values() if one.entity == "DE01")


def _order(number: str) -> Order:
    return Order(f"release:sap-emea:{number}:1", "release_order", f"order:{number}", {"order": number, "block_reason": "01"})


def test_a_release_happens_once_in_the_host_s_own_log(reader: Reader, dial: Dial) -> None:
    """The answer to an executed release is lost: unknown, read as done, and never written again."""
    number = _blocked(reader, dial)
    reader.read()
    waiting = reader.store.live("sales_order")[number]
    assert (waiting["delivery_block"], waiting["credit_status"]) == ("01", "blocked")
    dial.fault("sap-emea", "drop_response_after_execute", times=1)
    target = make_target(reader.connection, LANDSCAPE)
    with pytest.raises(UnknownOutcome):
        target.apply(_order(number))
    assert target.read(_order(number)).outcome == "already"
    assert target.apply(_order(number)).outcome == "already"
    target.close()
    writes = [one for one in reader.running.world.writes if one.key == number]
    assert [one.effective for one in writes] == [True]
    reader.read()
    released = reader.store.live("sales_order")[number]
    assert (released["delivery_block"], released["credit_status"]) == (None, "released")


@pytest.mark.parametrize(
    "kind",
    [
        "repeated_page",
        "truncated",
        "html_login",
        "server_error",
        "rate_limit",
        "outage",
        "out_of_order",
        "duplicate_records",
    ],
)
def test_faults_of_the_host_lose_nothing(reader: Reader, dial: Dial, kind: str) -> None:
    """A fault ends a pull by an error of ours, or is survived; afterwards the picture is the world's."""
    _GATES.clear()
    dial.fault("sap-emea", kind, times=1)
    try:
        reader.read()
    except SourceError as error:
        assert not isinstance(error, PermanentError), error.detail
    dial.clear()
    _GATES.clear()
    reader.read()
    reader.check()


def test_a_broken_record_is_one_reject_until_it_is_fixed(reader: Reader, dial: Dial) -> None:
    """A bill with an unreadable amount is rejected alone, and lands once it was put right."""
    reader.read()
    number = next(iter(reader.store.live("invoice")))
    bill = {"system": "sap-emea", "entity": "A_BillingDocument", "key": number}
    dial.act("break_record", **bill, how="bad_amount")
    reader.read()
    [reject] = reader.store.rejects
    assert (reject["entity"], reject["source_key"], reject["cause"]) == ("invoice", number, "bad_amount")
    dial.act("fix_record", **bill)
    reader.store.rejects.clear()
    reader.read()
    reader.check()

"""Against the sandbox's hosts in their other forms: V4, tokens, API keys, $batch or none, another release; deliveries, journal, approvals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from sandbox import Running
from sync.connections import Connection
from sync.errors import UnknownOutcome
from sync.http_gate import _GATES
from sync.ports import Order
from sync.systems.sap_s4 import make_source, make_target, reading
from tests.contracts.suite_sandbox import Dial, module_box
from tests.contracts.suite_store import Store, pull
from tests.contracts.test_sap_s4_sandbox import LANDSCAPE

pytestmark = pytest.mark.xdist_group("sap-s4-hosts")
"""One worker: two would start the sandbox twice."""

V4 = {"API_SALES_ORDER_SRV": {"protocol": "v4"}}
ORDERED = ("net_value", "currency", "changed_at", "order_date", "requested_delivery", "credit_status", "delivery_status", "delivery_block",
           "status", "customer_key", "legal_entity", "source_version")  # fmt: skip


class Box:
    """The sandbox's sap-emea, reached in whatever way."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.dial = Dial(running)

    def connection(self, secrets: dict[str, str] | None = None, **options: Any) -> Connection:
        known = self.running.system("sap-emea")
        basic = {"user": "env:S4_BOX_USER", "password": "env:S4_BOX_PASSWORD"}
        return Connection(
            name="sap-emea", system="sap_s4", region="EMEA", legal_entities=("DE01", "GB01"), allow_private_addresses=True,
            options={"base_url": known["base_url"], **options}, secrets=secrets or basic,
        )  # fmt: skip

    def read(self, stream: str, **options: Any) -> Store:
        """A stream, pulled from its beginning."""
        store, source = Store(), make_source(self.connection(**options), LANDSCAPE)
        pull(source, stream, None, store, now=self.running.world.now)
        source.close()
        assert store.rejects == []
        return store


running = module_box("running", customers=16, history_days=90)


@pytest.fixture
def box(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    known = running.system("sap-emea")
    monkeypatch.setenv("S4_BOX_USER", known["user"])
    monkeypatch.setenv("S4_BOX_PASSWORD", known["password"])
    _GATES.clear()
    reading._NO_BATCH.clear()
    found = Box(running)
    yield found
    found.dial.clear()
    found.dial.close()


def told(store: Store, entity: str, columns: tuple[str, ...]) -> dict[str, list[Any]]:
    """What a store says, as plain values; moments to the millisecond, which is all that V2 has."""

    def plain(value: Any) -> Any:
        return value.replace(microsecond=value.microsecond // 1000 * 1000) if isinstance(value, datetime) else value

    return {key: [plain(row[name]) for name in columns] for key, row in store.live(entity).items()}


def test_v4_says_what_v2_says(box: Box) -> None:
    """The same orders, to the cent and the millisecond, over relative next links; decimals as texts or as numbers."""
    first = told(box.read("sales_orders"), "sales_order", ORDERED)
    box.dial.fault("sap-emea", "page_size", size=7)
    assert told(box.read("sales_orders", services=V4), "sales_order", ORDERED) == first
    assert len(first) == len([o for o in box.running.world.orders.values() if o.host == "sap-emea"])


@pytest.mark.parametrize(
    ("secrets", "options"),
    [
        ({"client_id": "env:S4_BOX_USER", "client_secret": "env:S4_BOX_PASSWORD"}, {}),
        ({"client_id": "env:S4_BOX_USER", "client_secret": "env:S4_BOX_PASSWORD"}, {"token_credentials": "form"}),
        ({"api_key": "env:S4_BOX_PASSWORD"}, {}),
    ],
)
def test_every_way_in_reads_alike(box: Box, secrets: dict[str, str], options: dict[str, str]) -> None:
    """Tokens, by either way of showing the client, and an API key read what a user reads, also after the tokens were voided."""
    token_url = box.running.system("sap-emea")["base_url"].replace("/sap/opu/odata/sap", "/sap/bc/sec/oauth2/token")
    box.dial.fault("sap-emea", "page_size", size=40)
    if "client_id" in secrets:
        box.dial.fault("sap-emea", "expired_token", times=1, anywhere=True)
    bills = box.read("billing_documents", secrets=secrets, **({"token_url": token_url, **options} if "client_id" in secrets else {}))
    assert len(bills.live("invoice")) == len([i for i in box.running.world.invoices.values() if i.host == "sap-emea"])


@pytest.mark.parametrize("kind", ["no_batch", "no_paging", "release_2021", "no_metadata"])
def test_hosts_of_other_forms_say_the_same(box: Box, kind: str) -> None:
    """Without $batch, without paging, without metadata, with the names of a later release: the same customers, orders and bills."""
    streams = {"customers": ("customer", ("name", "payment_terms_days")), "sales_orders": ("sales_order", ORDERED),
               "billing_documents": ("invoice", ("gross", "status", "due_date"))}  # fmt: skip
    before = {stream: told(box.read(stream), entity, columns) for stream, (entity, columns) in streams.items()}
    box.dial.fault("sap-emea", kind)
    box.dial.fault("sap-emea", "page_size", size=30)
    after = {stream: told(box.read(stream), entity, columns) for stream, (entity, columns) in streams.items()}
    assert after == before
    assert {row[6] for row in after["sales_orders"].values()} >= {"open", "complete"}


def test_deliveries_are_worth_what_is_not_billed(box: Box) -> None:
    """Each delivery names its order; what is billed is marked so, what is not is worth the order."""
    box.dial.act("deliver")
    found = box.read("deliveries").live("delivery")
    world = {f"8{o.number.zfill(7)}": o for o in box.running.world.orders.values() if o.host == "sap-emea" and o.delivered_at is not None}
    assert found.keys() <= world.keys()
    assert any(not row["is_invoiced"] for row in found.values())
    for key, row in found.items():
        order = world[key]
        assert (row["order_key"], row["customer_key"], row["value"]) == (order.number, order.customer, order.net)
        assert row["is_invoiced"] == (order.billing_status == "C")
        assert row["goods_issued_on"] == order.delivered_at.date()  # type: ignore[union-attr]


def test_journal_lines_and_customer_lines_balance(box: Box) -> None:
    """With the customers' own lines every document sums up to nothing, and no line is told twice."""
    lines = list(box.read("journal_lines", journal_days=400).live("gl_posting").values())
    items = list(box.read("accounting_items").live("gl_posting").values())
    assert not {row["account"] for row in lines} & {"12100000"}
    totals: dict[str, Decimal] = {}
    for row in (*lines, *items):
        totals[row["document"]] = totals.get(row["document"], Decimal(0)) + row["amount"]
    assert {document: total for document, total in totals.items() if total} == {}
    assert {row["status"] for row in lines} >= {"posted"}


def blocked(box: Box) -> str:
    """An order that waits for its credit decision."""
    customer = next(one.number for one in box.running.world.customers.values() if one.entity == "DE01")
    return str(box.dial.act("activate_contract", customer=customer, value="1000")["order"])


def asked(kind: str, number: str) -> Order:
    return Order(f"{kind}:{number}", kind, number, {"order": number})


@pytest.mark.parametrize("services", [{}, V4])
def test_release_block_and_approval_happen_once_each(box: Box, services: dict[str, Any]) -> None:
    """In both protocols, with a token that expires and an answer that is lost: the host's own log has each change once."""
    number = blocked(box)
    target = make_target(box.connection(services=services), LANDSCAPE)
    box.dial.fault("sap-emea", "csrf_expired", times=1)
    box.dial.fault("sap-emea", "drop_response_after_execute", times=1)
    with pytest.raises(UnknownOutcome):
        target.apply(asked("release_order", number))
    assert target.read(asked("release_order", number)).outcome == "already"
    assert target.apply(asked("release_order", number)).outcome == "already"
    assert target.apply(asked("block_order", number)).outcome == "applied"
    assert target.apply(asked("block_order", number)).outcome == "already"
    box.dial.act("request_approval", order=number)
    assert target.apply(asked("approve_order", number)).outcome == "applied"
    assert target.apply(asked("approve_order", number)).outcome == "already"
    target.close()
    writes = [one for one in box.dial.writes("sap-emea") if one["key"] == number]
    assert [(one["action"], one["effective"]) for one in writes] == [("release", True), ("patch", True), ("approve", True)]


def test_named_records_are_read_again(box: Box) -> None:
    """What a webhook names is read by its key: padded or not, unknown or not."""
    source = make_source(box.connection(), LANDSCAPE)
    number = next(o.number for o in box.running.world.orders.values() if o.host == "sap-emea")
    store = Store()
    for stream, keys in (("sales_orders", [number, f"000{number}", "nobody"]), ("customers", ["10100001"]), ("deliveries", ["nobody"])):
        for page in source.reread(stream, keys, now=box.running.world.now):
            assert page.cursor is None
            store.take(source.map(stream, page))
    assert set(store.live("sales_order")) == {number}
    assert set(store.live("customer")) == {"10100001"}
    assert list(source.reread("accounting_items", ["x"], now=box.running.world.now)) == []
    source.close()


def test_the_probe_finds_everything(box: Box) -> None:
    """The sandbox passes its own connection test, deliveries and journal included."""
    findings = list(make_source(box.connection(), LANDSCAPE).probe(now=box.running.world.now))
    assert [one.what for one in findings if not one.ok] == []
    assert {"sign-in", "clock", "API_OUTBOUND_DELIVERY_SRV/A_OutbDeliveryHeader"} <= {one.what for one in findings}

"""Whatever happens in an S/4HANA host, between pages and between pulls, and whatever the wire does: once it heals, what is held is the truth."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.errors import SourceError
from sync.http_gate import _GATES
from sync.ports import Cursor
from sync.systems.sap_s4 import make_source
from sync.systems.sap_s4.ledger import _MEMORIES
from sync.systems.sap_s4.source import STREAMS
from tests.contracts.odata_business import ITEMS, LINES, Business
from tests.contracts.odata_server import LANDSCAPE
from tests.contracts.odata_world import World
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import Store, pages_of

NAMES = [stream.name for stream in STREAMS]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "ID", "SECRET"):
        monkeypatch.setenv(f"S4_TEST_{name}", "s3cret")
    _MEMORIES.clear()


class Life:
    """A host, what happens there, a wire that breaks, and what is held of it all."""

    def __init__(self, seed: int, **form: Any) -> None:
        self.dice = random.Random(seed)
        self.world = World(cap=self.dice.choice([3, 7, 50]), hook=self.let_in, after=self.meanwhile, **form)
        self.business = Business(self.world, self.dice, NOW)
        self.tokens = ScriptedServer(self.token)
        self.given, self.left = 0, 0
        self.broken = True
        self.store = Store()
        self.cursors: dict[str, Cursor | None] = dict.fromkeys(NAMES)
        self.source = self.begin()

    def begin(self) -> Any:
        connection = self.world.connection(token_url=f"{self.tokens.url}/token", read_ahead=self.dice.choice([1, 3]))
        secrets = {"client_id": "env:S4_TEST_ID", "client_secret": "env:S4_TEST_SECRET"}
        return make_source(connection.model_copy(update={"secrets": secrets}), LANDSCAPE)

    def token(self, _: Asked) -> Reply:
        self.given, self.left = self.given + 1, self.dice.randrange(3, 40) if self.broken else 10**6
        return reply_json(
            {"access_token": f"t{self.given}", "token_type": "Bearer", "expires_in": self.dice.choice([0, 3600, "3600", None])}
        )

    def let_in(self, asked: Asked) -> Reply | None:
        """Tokens run out in the middle of anything; now and then the wire breaks."""
        self.left -= 1
        if self.left < 0 or asked.headers.get("authorization") != f"Bearer t{self.given}":
            return Reply(b"", 401, headers={"www-authenticate": "Bearer"})
        if not self.broken or self.dice.random() > 0.04:
            return None
        cut = Reply(raw=lambda write: write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"d":{"results":[{"Sal'))
        return self.dice.choice(
            [Reply(b"", 500), Reply(b"<html><title>Bad gateway</title></html>", 502, "text/html"), cut, Reply(b"", 503)]
        )

    def meanwhile(self, _: Asked) -> None:
        if self.broken and self.dice.random() < 0.3:
            self.business.act()

    def go_on(self, hours: float, *, anew: bool = False) -> None:
        self.business.now += timedelta(hours=hours)
        _GATES.clear()
        if anew or self.dice.random() < 0.2:
            self.source.close()
            self.source = self.begin()
        if self.dice.random() < 0.1:
            _MEMORIES.clear()

    def pull(self, name: str) -> None:
        """As the pipeline does: a page and its cursor are one commit; an error ends the pull."""
        try:
            for page in pages_of(self.source, name, self.cursors[name], now=self.business.now):
                self.store.take(self.source.map(name, page))
                self.cursors[name] = page.cursor if page.cursor is not None else self.cursors[name]
                if self.broken and self.dice.random() < 0.02:
                    return  # the worker is killed
        except SourceError:
            assert self.broken, "the wire is whole"

    def heal(self) -> None:
        """The wire is whole and nothing happens: one more pull of everything, with what is due once a day."""
        self.broken = False
        self.go_on(30, anew=True)
        for name in NAMES:
            self.pull(name)

    def close(self) -> None:
        self.source.close()
        self.world.server.close()
        self.tokens.close()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_held_is_the_truth_at_last(lives: list[Life], seed: int) -> None:
    """Days of it: orders, bills, postings, payments, clearings, resets, deletions, at any moment of any pull."""
    life = Life(seed)
    lives.append(life)
    for _ in range(6):
        for _ in range(life.dice.randrange(14)):
            life.business.act()
        for name in life.dice.sample(NAMES, 3):
            life.pull(name)
        life.go_on(life.dice.choice([0.1, 1, 7, 26]))
    life.heal()
    assert life.store.rejects == []
    assert held(life.store) == there(life.world)


def held(store: Store) -> dict[str, Any]:
    live = store.live
    paid: dict[str, Decimal] = {}
    for row in live("payment_application").values():
        if not row["is_reversed"]:
            paid[row["invoice_key"]] = paid.get(row["invoice_key"], Decimal(0)) + row["amount"]
    return {
        "orders": {key: (row["net_value"], row["delivery_block"], row["status"]) for key, row in live("sales_order").items()},
        "customers": {key: (row["name"], row["delivery_block"], row["posting_block"]) for key, row in live("customer").items()},
        "limits": {key: (row["limit_amount"], row["is_blocked"]) for key, row in live("credit_limit").items()},
        "deliveries": {key: (row["goods_issued_on"], row["is_invoiced"], row["value"]) for key, row in live("delivery").items()},
        "bills": {key: row["gross"] for key, row in live("invoice").items()},
        "postings": {key: (row["amount"], row["status"]) for key, row in live("gl_posting").items()},
        "payments": {key: (row["amount"], row["status"]) for key, row in live("payment").items()},
        "paid": {key: amount for key, amount in paid.items() if amount},
    }


def there(world: World) -> dict[str, Any]:
    rows = {name: list(held.values()) for name, held in world.rows.items()}
    items = [row for row in rows[ITEMS] if row["FinancialAccountType"] == "D"]
    lines = [row for row in rows[LINES] if row["FinancialAccountType"] != "D" and row["Ledger"] == "0L" and row["CompanyCode"] == "1010"]
    money = [row for row in items if row["AccountingDocumentType"] == "DZ"]
    masters = {row["Customer"]: row for row in rows["A_Customer"]}
    numbers = [row["Customer"] for row in rows["A_BusinessPartner"] if row["Customer"]]
    known = {row["AccountingDocument"]: row for row in items if row["BillingDocument"]}
    paid: dict[str, Decimal] = {}
    for row in money:
        bill = known.get(row["InvoiceReference"])
        if bill is not None and not row["IsReversed"]:
            paid[bill["BillingDocument"]] = paid.get(bill["BillingDocument"], Decimal(0)) - row["AmountInTransactionCurrency"]
    for bill in known.values():
        if bill["IsCleared"]:
            paid[bill["BillingDocument"]] = bill["AmountInTransactionCurrency"]
    statuses = {"A": "open", "C": "complete"}
    return {
        "orders": {row["SalesOrder"]: (row["TotalNetAmount"], row["DeliveryBlockReason"] or None, statuses[row["OverallSDProcessStatus"]])
                   for row in rows["A_SalesOrder"]},
        "customers": {one: (masters[one]["CustomerName"], masters[one]["DeliveryIsBlocked"] != "", masters[one]["PostingIsBlocked"])
                      for one in numbers},
        "limits": {f"{row['BusinessPartner']}/0000": (row["CreditLimitAmount"], row["CreditAccountIsBlocked"])
                   for row in rows["CreditManagementAccount"]},
        "deliveries": {row["DeliveryDocument"]: delivered(row) for row in rows["A_OutbDeliveryHeader"]},
        "bills": {row["BillingDocument"]: row["TotalGrossAmount"] for row in rows["A_BillingDocument"] if row["SDDocumentCategory"] != "U"},
        "postings": {"/".join(key_of(row)): (row["AmountInTransactionCurrency"], status_of(row)) for row in items}
        | {"/".join((row["Ledger"], *key_of(row)[:3], row["LedgerGLLineItem"])): (row["AmountInTransactionCurrency"], "posted") for row in lines},
        "payments": {"/".join(key_of(row)[:3]): (-row["AmountInTransactionCurrency"], "returned" if row["IsReversed"] else "settled")
                     for row in money},
        "paid": {key: amount for key, amount in paid.items() if amount},
    }  # fmt: skip


def delivered(row: dict[str, Any]) -> tuple[Any, ...]:
    billed = row["OverallDelivReltdBillgStatus"] == "C"
    return row["ActualGoodsMovementDate"], billed, Decimal(90)


def key_of(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row.get(name, "") for name in ("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem"))


def status_of(row: dict[str, Any]) -> str:
    return "reversed" if row["IsReversed"] else "cleared" if row["IsCleared"] else "open"


@pytest.fixture
def lives() -> Iterator[list[Life]]:
    made: list[Life] = []
    yield made
    for life in made:
        life.close()

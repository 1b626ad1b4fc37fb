"""The adapter against a real Tryton 8: what it reads is what the ERP says, money that moves is never missed, our note arrives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading
from sync.connections import Connection, Landscape, LegalEntity
from sync.errors import AuthError, PermanentError, SourceError
from sync.ports import Cursor, Order, Source
from sync.pull import pull_stream
from sync.systems.tryton import make_source, make_target
from tests.conftest import DEFAULT_VERSION, Servers, database_url
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_store import Store, pull
from tests.postgres.synthetic import Database
from tests.tryton.acts import assign, bill, insist, owed, receive, reconcile, sell
from tests.tryton.house import PASSWORD, USER, House
from tests.tryton.rpc import Rpc

pytestmark = [pytest.mark.tryton, pytest.mark.xdist_group("tryton"), pytest.mark.timeout(900)]

LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="DE01", name="Hansa Antriebe GmbH", region="EMEA", currency="EUR"),))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRYTON_LIVE_USER", USER)
    monkeypatch.setenv("TRYTON_LIVE_PASSWORD", PASSWORD)


@pytest.fixture
def sql_url(tryton: House, postgres_servers: Servers) -> str:
    """The ERP's own database, for what no call can do: stamps of another time."""
    url, _ = postgres_servers.ready(DEFAULT_VERSION)
    return database_url(url, tryton.database).replace("postgresql+psycopg://", "postgresql://")


def connection(tryton: House, **options: Any) -> Connection:
    given = {"base_url": tryton.url, "database": tryton.database, "look_back_minutes": 0, **options}
    return Connection(
        name="tryton", system="tryton", region="EMEA", legal_entities=("DE01",), options=given, allow_private_addresses=True,
        secrets={"user": "env:TRYTON_LIVE_USER", "password": "env:TRYTON_LIVE_PASSWORD"},
    )  # fmt: skip


@dataclass
class Reader:
    """A connection that goes on from where it came to, stream by stream, as a worker does."""

    tryton: House
    options: dict[str, Any] = field(default_factory=dict)
    store: Store = field(default_factory=Store)
    cursors: dict[str, Cursor | None] = field(default_factory=dict)
    now: datetime | None = None

    def read(self, stream: str) -> Store:
        """Everything new of a stream."""
        with closing(make_source(connection(self.tryton, **self.options), LANDSCAPE)) as source:
            now = self.now or datetime.now(UTC) + timedelta(seconds=5)
            self.cursors[stream] = pull(source, stream, self.cursors.get(stream), self.store, now=now).cursor
        return self.store


def names(rpc: Rpc) -> dict[str, int]:
    """The seeded records by what they are called."""
    found = {row["name"]: row["id"] for row in rpc.model("party.party.search_read", [], 0, None, None, ["name"])}
    found |= {row["name"].lower(): row["id"] for row in rpc.model("account.account.search_read", [], 0, None, None, ["name"])}
    found |= {row["code"]: row["id"] for row in rpc.model("currency.currency.search_read", [], 0, None, None, ["code"])}
    found |= {row["name"]: row["id"] for row in rpc.model("account.invoice.payment_term.search_read", [], 0, None, None, ["name"])}
    return found | {
        "company": rpc.find("company.company", []),
        "product": rpc.find("product.product", []),
        "unit": rpc.find("product.uom", [["name", "=", "Unit"]]),
    }


def billed(
    rpc: Rpc, ids: dict[str, int], quantity: int, *, customer: str = "Alster Werke", currency: str = "EUR", terms: str = "30 days"
) -> int:
    """A fresh invoice of today, posted."""
    today = date.today()
    return bill(rpc, sell(rpc, ids, customer, currency, quantity, terms, today), today)


def left(rpc: Rpc, invoice: int) -> Decimal:
    """What the ERP itself says is still open."""
    said = rpc.model("account.invoice.read", [invoice], ["amount_to_pay"])[0]["amount_to_pay"]
    return Decimal(said["decimal"]) if said else Decimal(0)


def assert_agrees(rpc: Rpc, reader: Reader, invoice: int) -> list[tuple[int, str | None]]:
    """After a pull of what is new: our gross less our applications is what the ERP says is open. (amount, payment) of each."""
    store = reader.read("invoices")
    assert store.rejects == []
    row = store.live("invoice")[str(invoice)]
    applied = [each for each in store.live("payment_application").values() if each["invoice_key"] == str(invoice)]
    assert row["gross"] - sum(each["amount"] for each in applied) == left(rpc, invoice)
    assert all(each["amount"] == int(each["amount"]) for each in applied)
    return sorted((int(each["amount"]), each["payment_key"]) for each in applied)


def test_everything_is_read_and_nothing_is_refused(tryton: House, rpc: Rpc) -> None:
    """Customers with their limits, sales, invoices in two currencies: as many as the ERP has, to the cent."""
    reader = Reader(tryton)
    for stream in ("parties", "sales", "invoices", "receipts", "payments", "opportunities"):
        reader.read(stream)
    store = reader.store
    assert store.rejects == []
    limits = {row["customer_key"]: row["limit_amount"] for row in store.live("credit_limit").values()}
    ids = names(rpc)
    assert (limits[str(ids["Alster Werke"])], limits[str(ids["Cetona SpA"])]) == (50_000, 0)
    assert str(ids["Dunmore Ltd"]) not in limits
    said = rpc.model(
        "account.invoice.search_read", [["state", "in", ["posted", "paid"]]], 0, None, None, ["number", "total_amount", "currency.code"]
    )
    theirs = {row["number"]: (Decimal(row["total_amount"]["decimal"]), row["currency."]["code"]) for row in said}
    ours = {row["number"]: (row["gross"], row["currency"]) for row in store.live("invoice").values() if row["status"] != "cancelled"}
    assert ours == theirs
    assert {row["currency"] for row in store.live("invoice").values()} == {"EUR", "USD"}
    assert all(row["order_number"] for row in store.live("invoice").values())
    assert {row["status"] for row in store.live("quote").values()} >= {"draft", "processing"}
    assert {row["legal_entity"] for row in store.live("invoice").values()} == {"DE01"}


def test_no_payment_is_missed(tryton: House, rpc: Rpc) -> None:
    """Assigned in part, reconciled, undone, reconciled again: without any look-back the next pull has it, and the sums agree each time."""
    ids, today = names(rpc), date.today()
    invoice = billed(rpc, ids, 3)
    reader = Reader(tryton)
    assert assert_agrees(rpc, reader, invoice) == []
    part = receive(rpc, ids, "Alster Werke", Decimal(100), today)
    assert assert_agrees(rpc, reader, invoice) == [], "money that nobody has assigned pays no invoice"
    assign(rpc, invoice, part)
    assert assert_agrees(rpc, reader, invoice) == [(100, str(part))]
    rest = receive(rpc, ids, "Alster Werke", Decimal(200), today)
    settled = reconcile(rpc, ids, [*owed(rpc, invoice), part, rest], today)
    assert assert_agrees(rpc, reader, invoice) == [(100, str(part)), (200, str(rest))]
    assert reader.store.live("invoice")[str(invoice)]["status"] == "cleared"
    rpc.model("account.move.reconciliation.delete", [settled])
    assert assert_agrees(rpc, reader, invoice) == [(100, str(part))]
    assert reader.store.live("invoice")[str(invoice)]["status"] == "posted"
    reader.read("receipts")
    assert {str(part), str(rest)} <= reader.store.live("payment").keys()


def test_an_instalment_is_found_though_the_invoice_stays_open(tryton: House, rpc: Rpc) -> None:
    """Half of the invoice is reconciled: it stays posted, its first half is settled, the second one is due next."""
    ids, today = names(rpc), date.today()
    invoice = billed(rpc, ids, 4, customer="Elbe Pumpen", terms="halves")
    reader = Reader(tryton)
    assert_agrees(rpc, reader, invoice)
    first, second = owed(rpc, invoice)
    money = receive(rpc, ids, "Elbe Pumpen", Decimal(200), today)
    reconcile(rpc, ids, [first, money], today)
    assert assert_agrees(rpc, reader, invoice) == [(200, str(money))]
    row = reader.store.live("invoice")[str(invoice)]
    assert (row["status"], row["due_date"]) == ("posted", today + timedelta(days=30))
    assert second


def test_a_settlement_is_found_while_the_server_has_not_come_to_the_invoice(tryton: House, rpc: Rpc, sql_url: str) -> None:
    """The ERP writes the invoice by its task queue, later: until then only its lines are stamped, and they are enough."""
    ids, today = names(rpc), date.today()
    invoice = billed(rpc, ids, 2)
    reader = Reader(tryton)
    assert_agrees(rpc, reader, invoice)
    with psycopg.connect(sql_url, autocommit=True) as conn:
        held = conn.execute("select write_date, state from account_invoice where id = %s", [invoice]).fetchone()
        money = receive(rpc, ids, "Alster Werke", Decimal(200), today)
        reconcile(rpc, ids, [*owed(rpc, invoice), money], today)
        conn.execute("update account_invoice set write_date = %s, state = %s where id = %s", [*(held or ()), invoice])
    assert assert_agrees(rpc, reader, invoice) == [(200, str(money))]


def test_one_payment_of_several_invoices_is_shared_out(tryton: House, rpc: Rpc) -> None:
    """Each invoice gets what was cleared of it, under the same payment."""
    ids, today = names(rpc), date.today()
    one, two = billed(rpc, ids, 1), billed(rpc, ids, 2)
    reader = Reader(tryton)
    reader.read("invoices")
    money = receive(rpc, ids, "Alster Werke", Decimal(300), today)
    reconcile(rpc, ids, [*owed(rpc, one), *owed(rpc, two), money], today)
    assert assert_agrees(rpc, reader, one) == [(100, str(money))]
    assert assert_agrees(rpc, reader, two) == [(200, str(money))]


def test_dollars_are_settled_in_dollars(tryton: House, rpc: Rpc) -> None:
    """The books are in euro; what was paid of a dollar invoice is counted in dollars, assigned and cleared."""
    ids, today = names(rpc), date.today()
    invoice = billed(rpc, ids, 4, customer="Cetona SpA", currency="USD")
    reader = Reader(tryton)
    assert_agrees(rpc, reader, invoice)
    part = receive(rpc, ids, "Cetona SpA", Decimal(100), today, currency="USD", eur=Decimal(80))
    assign(rpc, invoice, part)
    assert assert_agrees(rpc, reader, invoice) == [(100, str(part))]
    rest = receive(rpc, ids, "Cetona SpA", Decimal(300), today, currency="USD", eur=Decimal(240))
    reconcile(rpc, ids, [*owed(rpc, invoice), part, rest], today)
    assert assert_agrees(rpc, reader, invoice) == [(100, str(part)), (300, str(rest))]
    reader.read("receipts")
    assert reader.store.live("payment")[str(rest)]["currency"] == "USD"


def test_a_credit_note_and_a_cancelled_invoice(tryton: House, rpc: Rpc) -> None:
    """A credit note is positive and flagged; an invoice that it cancels is no receivable any more."""
    ids = names(rpc)
    invoice = billed(rpc, ids, 5)
    credit = int(rpc.model("account.invoice.copy", [invoice], {"lines": []})[0])
    line = {"type": "line", "account": ids["revenue"], "quantity": -2, "unit_price": Decimal(100), "description": "Returned"}
    rpc.model("account.invoice.write", [credit], {"lines": [["create", [line]]], "invoice_date": date.today()})
    insist(rpc, "account.invoice.post", [credit])
    store = Reader(tryton).read("invoices")
    assert store.rejects == []
    row = store.live("invoice")[str(credit)]
    assert (row["gross"], row["is_credit"], row["source_open"]) == (200, True, 200)


def test_payments_are_what_we_pay_and_what_we_collect(tryton: House, rpc: Rpc) -> None:
    """An order to pay goes through its approval; what we collect is the customer's payment until the ledger has it."""
    ids = names(rpc)
    journal = rpc.create("account.payment.journal", name="Transfers", currency=ids["EUR"], company=ids["company"], process_method="manual")
    made = {
        kind: rpc.create(
            "account.payment",
            journal=journal,
            kind=kind,
            party=ids["Elbe Pumpen"],
            amount=Decimal("75.50"),
            date=date.today(),
            company=ids["company"],
        )
        for kind in ("payable", "receivable")
    }
    reader = Reader(tryton)
    assert not {str(number) for number in made.values()} & reader.read("payments").live("outgoing_payment").keys(), (
        "a draft is nobody's payment yet"
    )
    insist(rpc, "account.payment.submit", list(made.values()))
    store = reader.read("payments")
    assert store.live("outgoing_payment")[str(made["payable"])]["status"] == "requested"
    assert store.live("payment")[f"collection {made['receivable']}"]["status"] == "pending"
    insist(rpc, "account.payment.approve", [made["payable"]])
    store = reader.read("payments")
    row = store.live("outgoing_payment")[str(made["payable"])]
    assert (row["status"], row["payee"], row["amount"], row["currency"]) == ("approved", "Elbe Pumpen", Decimal("75.50"), "EUR")


def test_what_is_deleted_there_is_missed_here(tryton: House, rpc: Rpc) -> None:
    """A party that is deleted leaves no trace; the sweep misses it, and only it."""
    doomed = rpc.create("party.party", name="Short-lived Ltd")
    reader = Reader(tryton)
    reader.read("parties")
    assert str(doomed) in reader.store.live("customer")
    rpc.model("party.party.delete", [doomed])
    reader.read("parties")
    assert str(doomed) in reader.store.live("customer"), "nothing says so yet"
    reader.now = datetime.now(UTC) + timedelta(hours=25)
    before = set(reader.store.live("customer"))
    assert before - set(reader.read("parties").live("customer")) == {str(doomed)}


def test_a_changed_limit_is_a_changed_customer(tryton: House, rpc: Rpc) -> None:
    """The limit is kept in a table of its own: raised, and taken away, it is seen without a look-back."""
    party = rpc.create("party.party", name="Limited GmbH")
    reader = Reader(tryton)
    reader.read("parties")
    assert str(party) not in reader.store.live("credit_limit")
    for limit in (Decimal("1500.00"), None):
        rpc.model("party.party.write", [party], {"credit_limit_amount": limit})
        held = reader.read("parties").live("credit_limit").get(str(party))
        assert (held and held["limit_amount"]) == limit


def test_a_session_that_ended_is_opened_anew_once(tryton: House, sql_url: str) -> None:
    """The ERP forgets its sessions: the same call goes through with a new one; a wrong password is said at once."""
    with closing(make_source(connection(tryton), LANDSCAPE)) as source:
        assert list(source.pull("opportunities", None, now=datetime.now(UTC)))
        with psycopg.connect(sql_url, autocommit=True) as conn:
            conn.execute("delete from ir_session")
        assert list(source.pull("opportunities", None, now=datetime.now(UTC)))
    os.environ["TRYTON_LIVE_PASSWORD"] = "not this one"
    with closing(make_source(connection(tryton), LANDSCAPE)) as source, pytest.raises(AuthError, match="refused"):
        list(source.pull("opportunities", None, now=datetime.now(UTC)))


def test_another_database_is_not_there(tryton: House) -> None:
    """For a name that it does not have the server keeps still: the error says where to look."""
    missing = connection(tryton, database="no_such", deadline_seconds=3)
    with closing(make_source(missing, LANDSCAPE)) as source, pytest.raises(SourceError, match="no_such"):
        list(source.pull("parties", None, now=datetime.now(UTC)))


def test_the_probe_proves_everything(tryton: House) -> None:
    """Address, credentials, clock, company, notes, the fields of every stream and a first page of each."""
    with closing(make_source(connection(tryton), LANDSCAPE)) as source:
        found = list(source.probe(now=datetime.now(UTC)))
    assert [finding for finding in found if not finding.ok] == []
    assert {"credentials", "clock", "company", "notes", "invoices fields", "invoices first page"} <= {finding.what for finding in found}


def test_our_note_stands_on_the_party(tryton: House, rpc: Rpc) -> None:
    """Written once, written anew in place, never over a newer one; a party that is not there is not made."""
    ids = names(rpc)
    code = rpc.model("party.party.read", [ids["Elbe Pumpen"]], ["code"])[0]["code"]
    parties = len(rpc.model("party.party.search", [], 0, None, None))

    def order(version: int, status: str, number: str = code) -> Order:
        payload = {
            "customer_number": number, "status": status, "overdue_amount": "1234.5", "currency": "EUR", "as_of": "2026-05-20T12:00:00+00:00",
            "version": version,
        }  # fmt: skip
        return Order(f"collections:tryton:{number}:{version}", "update_collections", number, payload)

    with closing(make_target(connection(tryton), LANDSCAPE)) as target:
        assert target.read(order(1, "reminder")).outcome == "absent"
        assert target.apply(order(1, "reminder")).outcome == "applied"
        assert target.apply(order(1, "reminder")).outcome == "already"
        assert target.apply(order(3, "second dunning")).outcome == "applied"
        assert target.apply(order(2, "first dunning")).outcome == "differs"
        with pytest.raises(PermanentError, match="no party has the code"):
            target.apply(order(1, "reminder", "NOBODY"))
    said = rpc.model("ir.note.search_read", [["resource", "=", f"party.party,{ids['Elbe Pumpen']}"]], 0, None, None, ["message"])
    assert len(said) == 1
    assert "second dunning" in said[0]["message"]
    assert len(rpc.model("party.party.search", [], 0, None, None)) == parties


def test_the_books_arrive_in_our_own_database(tryton: House, engine: sa.Engine) -> None:
    """Through the whole pipeline: customers first, then what hangs on them; nothing is quarantined, receivables agree with the ERP's."""
    configured = connection(tryton)
    clock = FixedClock(datetime.now(UTC) + timedelta(seconds=5))
    for stream in ("parties", "sales", "invoices", "receipts", "payments"):
        with closing(make_source(configured, LANDSCAPE)) as source:
            result = pull_stream(Database(engine), configured, LANDSCAPE, source, stream, clock=clock, trigger="test")
        assert (result.state, result.counts.quarantined) == ("done", 0), result
    with reading(engine) as conn:
        wrong = conn.execute(
            sa.text(
                "select i.number, i.gross, i.source_open, sum(coalesce(a.amount, 0)) from canonical.invoice i left join canonical.payment_application a"
                " on a.source = i.source and a.invoice_key = i.source_key and not a.is_deleted where i.status <> 'cancelled'"
                " group by 1, 2, 3 having i.gross - sum(coalesce(a.amount, 0)) <> i.source_open"
            )
        ).all()
        assert wrong == []
        assert conn.execute(sa.text("select count(*) from canonical.invoice")).scalar_one() >= 6


class Deals(AdapterCase):
    """Opportunities in the real ERP; only their stamps are set behind its back."""

    system = "tryton"

    stream, entity, value_column = "opportunities", "opportunity", "amount"

    def __init__(self, tryton: House, rpc: Rpc, sql_url: str) -> None:
        self._tryton, self._rpc = tryton, rpc
        self._conn = psycopg.connect(sql_url, autocommit=True)
        self._ids: dict[str, int] = {}
        self._conn.execute("delete from sale_opportunity")
        self._party = rpc.find("party.party", [["name", "=", "Elbe Pumpen"]])

    def source(self) -> Source:
        return make_source(connection(self._tryton, page_size=3, look_back_minutes=10), LANDSCAPE)

    def put(self, key: str, worth: int, at: datetime) -> None:
        values = {"party": self._party, "amount": Decimal(worth), "description": key, "start_date": date.today()}
        if key not in self._ids:
            self._ids[key] = self._rpc.create("sale.opportunity", **values)
        else:
            self._rpc.model("sale.opportunity.write", [self._ids[key]], values)
        stamps = "update sale_opportunity set create_date = least(create_date, %(at)s), write_date = %(at)s where id = %(id)s"
        self._conn.execute(stamps, {"at": at.replace(tzinfo=None), "id": self._ids[key]})

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)  # a database holds a record once

    def put_malformed(self, key: str, at: datetime) -> None:
        self.put(key, 1, at)
        self._conn.execute("update sale_opportunity set amount = 'NaN' where id = %s", [self._ids[key]])

    def repeat_page(self) -> None:
        """A real server does not."""

    def heal(self) -> None:
        """Nothing was broken."""

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {**(cursor or {}), "since": (self.now + timedelta(days=365)).isoformat()}

    def source_key(self, key: str) -> str:
        return str(self._ids.get(key, key))

    def close(self) -> None:
        self._conn.close()


class TestDeals(AdapterSuite):
    @pytest.fixture
    def case(self, tryton: House, rpc: Rpc, sql_url: str) -> Iterator[AdapterCase]:
        with Deals(tryton, rpc, sql_url) as case:
            yield case

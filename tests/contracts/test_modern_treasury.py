"""Modern Treasury passes the contract suite, against a scripted organisation over real sockets; and what its records may hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.connections import ConfigError, Connection, Landscape, LegalEntity
from sync.errors import PermanentError, TransientError, UnknownOutcome
from sync.ports import Cursor, Mapped, Order, Page, Source
from sync.systems.modern_treasury import make_source, make_target
from sync.systems.modern_treasury.source import ModernTreasurySource
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import Store, pages_of, pull

LANDSCAPE = Landscape(
    legal_entities=(
        LegalEntity(code="DE01", name="Meridian", region="EMEA", currency="EUR"),
        LegalEntity(code="US01", name="Meridian Inc", region="NA", currency="USD"),
    )
)
ACCOUNT = "11111111-0000-0000-0000-000000000001"
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def stamp(at: datetime) -> str:
    """A moment as the API writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def common(kind: str, key: str, at: datetime) -> dict[str, Any]:
    """What every object has."""
    return {"id": key, "object": kind, "live_mode": True, "created_at": stamp(at), "updated_at": stamp(at)}


def account(key: str, at: datetime = NOW, **more: Any) -> dict[str, Any]:
    detail = {"account_number": None, "account_number_type": "other", "account_number_safe": "1234", "discarded_at": None}
    return {
        **common("internal_account", key, at), "name": f"Account {key}", "party_name": "Meridian Inc", "currency": "USD", "status": "active",
        "account_details": [detail], "connection": {"vendor_name": "First Lakes Bank"}, "legal_entity_id": None, **more,
    }  # fmt: skip


def transaction(key: str, minor: Any, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        **common("transaction", key, at), "discarded_at": None, "amount": minor, "amount_string": str(minor), "currency": "USD",
        "direction": "credit", "vendor_id": f"V-{key}", "vendor_code": "195", "vendor_code_type": "bai2", "vendor_description": "WIRE IN",
        "as_of_date": "2026-05-15", "as_of_time": None, "internal_account_id": ACCOUNT, "posted": True, "metadata": {}, **more,
    }  # fmt: skip


def expected(key: str, minor: Any, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        **common("expected_payment", key, at), "external_id": f"E-{key}", "amount_lower_bound": minor, "amount_upper_bound": minor,
        "direction": "credit", "internal_account_id": ACCOUNT, "type": "ach", "currency": "USD", "date_lower_bound": "2026-06-01",
        "date_upper_bound": "2026-06-03", "metadata": {}, "amount_reconciled": None, "amount_unreconciled": None, "status": "unreconciled", **more,
    }  # fmt: skip


def order(key: str, minor: Any, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        **common("payment_order", key, at), "amount": minor, "currency": "USD", "direction": "credit", "originating_account_id": ACCOUNT,
        "effective_date": "2026-05-22", "status": "approved", "receiving_account": {"party_name": "Lakeshore Tools"},
        "ultimate_receiving_party_name": None, "counterparty_id": None, **more,
    }  # fmt: skip


def incoming(key: str, minor: Any, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        **common("incoming_payment_detail", key, at), "amount": minor, "currency": "USD", "direction": "credit", "internal_account_id": ACCOUNT,
        "as_of_date": "2026-05-15", "status": "completed", "originating_party_name": "Summit Foods", "vendor_id": None, **more,
    }  # fmt: skip


def report(key: str, minor: Any, day: date, at: datetime, **more: Any) -> dict[str, Any]:
    balance = {**common("balance", f"b-{key}", at), "amount": minor, "amount_string": str(minor), "currency": "USD",
               "balance_type": "closing_ledger", "vendor_code": "015", "vendor_code_type": "bai2", "as_of_date": None}  # fmt: skip
    return {**common("balance_report", key, at), "balance_report_type": "previous_day", "as_of_date": str(day), "as_of_time": "17:00:00",
            "balances": [balance | more], "internal_account_id": ACCOUNT}  # fmt: skip


class Organisation:
    """A scripted organisation: lists by path, the newest created first, a cursor in the header, pages of two."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {"internal_accounts": []}
        self.repeating = False
        self.repeated: dict[str, Reply] = {}
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        """The organisation as a connection."""
        return Connection(
            name="modern-treasury", system="modern_treasury", region="NA", legal_entities=("US01",), allow_private_addresses=True,
            options={"base_url": self.server.url, "page_size": 2, **options},
            secrets={"organization_id": "env:MT_TEST_ORGANIZATION", "api_key": "env:MT_TEST_KEY"},
        )  # fmt: skip

    def answer(self, asked: Asked) -> Reply:
        """One answer; while repeating, the first page of each list comes again and again and names a cursor."""
        told = base64.b64decode(asked.headers.get("authorization", "Basic ").removeprefix("Basic ")).decode()
        if told != "org-id:s3cret":
            return reply_json({"errors": {"code": "invalid_key", "message": "The API key is invalid", "parameter": None}}, 401)
        path = asked.path.removeprefix("/api/")
        if path == "ping":
            return reply_json({"ping": "pong"})
        if not self.repeating:
            return self._fresh(path, asked)
        return self.repeated.setdefault(path, self._fresh(path, asked))

    def _fresh(self, path: str, asked: Asked) -> Reply:
        parent, _, key = path.partition("/")
        if path not in self.lists and parent in self.lists and "/" not in key:
            one = next((row for row in self.lists[parent] if row["id"] == key), None)
            return reply_json(one) if one else reply_json({"errors": {"code": "resource_not_found", "message": "no such record"}}, 404)
        rows = [row for row in self.lists.get(path, ()) if _passes(row, asked.query)]
        start, size = int(asked.query.get("after_cursor") or 0), int(asked.query["per_page"])
        page, more = rows[start : start + size], start + size < len(rows)
        after = "0" if self.repeating else str(start + size) if more else ""
        return Reply(json.dumps(page).encode(), headers={"X-After-Cursor": after, "X-Per-Page": str(size)})

    def put(self, path: str, row: dict[str, Any], *, again: bool = False) -> None:
        """The list now holds the record, at its beginning."""
        self.lists[path] = [row, *(held for held in self.lists.get(path, []) if again or held["id"] != row["id"])]


def _passes(row: dict[str, Any], query: Any) -> bool:
    """Whether a record passes the filters of a list."""
    bounds = (("updated_at_lower_bound", "updated_at"), ("as_of_date_start", "as_of_date"), ("created_at_start", "created_at"))
    return (
        all(str(row[field]) >= query[name] for name, field in bounds if name in query)
        and ("as_of_date" not in query or row["as_of_date"] == query["as_of_date"])
        and ("posted" not in query or str(row["posted"]).lower() == query["posted"])
    )


class _Case(AdapterCase):
    system = "modern_treasury"
    path = ""

    def __init__(self) -> None:
        self.organisation = Organisation()

    def source(self) -> Source:
        return make_source(self.organisation.connection(), LANDSCAPE)

    def record(self, key: str, worth: Any, at: datetime) -> dict[str, Any]:
        """The record as the organisation holds it."""
        raise NotImplementedError

    def put(self, key: str, worth: int, at: datetime) -> None:
        self.organisation.put(self.path, self.record(key, worth * 100, at))

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.organisation.put(self.path, self.record(key, worth * 100, at), again=True)

    def put_malformed(self, key: str, at: datetime) -> None:
        self.organisation.put(self.path, self.record(key, 12.5, at))

    def repeat_page(self) -> None:
        self.organisation.repeating = True

    def heal(self) -> None:
        self.organisation.repeating = False
        self.organisation.repeated.clear()

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        later = (self.now + timedelta(days=365)).isoformat()
        return {"since": later, "began": later, "top": later, "after": "2"}

    def close(self) -> None:
        self.organisation.server.close()


class Accounts(_Case):
    stream, entity, value_column, path = "accounts", "bank_account", "other_id", "internal_accounts"

    def record(self, key: str, worth: Any, at: datetime) -> dict[str, Any]:
        detail = {
            "account_number": str(int(worth) // 100),
            "account_number_type": "other",
            "account_number_safe": "1",
            "discarded_at": None,
        }
        return account(key, at, account_details=[detail])

    def put_malformed(self, key: str, at: datetime) -> None:
        self.organisation.put(self.path, self.record(key, 1, at) | {"currency": "BTC"})


class Balances(_Case):
    """Days and types have places for sixteen records."""

    most = 15
    stream, entity, value_column = "balances", "bank_balance", "amount"
    path = f"internal_accounts/{ACCOUNT}/balance_reports"

    def __init__(self) -> None:
        super().__init__()
        self.organisation.put("internal_accounts", account(ACCOUNT))
        self.days: dict[str, date] = {}

    def record(self, key: str, worth: Any, at: datetime) -> dict[str, Any]:
        number = int(key.removeprefix("k"))
        day = self.days.setdefault(key, NOW.date() - timedelta(days=number % 4))
        kind = ("closing_ledger", "opening_ledger", "current_ledger", "closing_available")[number // 4 % 4]
        return report(key, worth, day, at, balance_type=kind)

    def source_key(self, key: str) -> str:
        kind = ("closing_ledger", "opening_ledger", "current_ledger", "closing_available")[int(key.removeprefix("k")) // 4 % 4]
        return f"{ACCOUNT}|{self.days[key]}|{kind}"

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {"through": (self.now.date() + timedelta(days=365)).isoformat()}


class Transactions(_Case):
    stream, entity, value_column, path = "transactions", "bank_transaction", "amount", "transactions"

    def record(self, key: str, worth: Any, at: datetime) -> dict[str, Any]:
        return transaction(key, worth, at, as_of_date=str(at.date()))


class ExpectedPayments(_Case):
    stream, entity, value_column, path = "expected_payments", "forecast_item", "amount", "expected_payments"

    def record(self, key: str, worth: Any, at: datetime) -> dict[str, Any]:
        return expected(key, worth, at)


class PaymentOrders(_Case):
    stream, entity, value_column, path = "payment_orders", "outgoing_payment", "amount", "payment_orders"

    def record(self, key: str, worth: Any, at: datetime) -> dict[str, Any]:
        return order(key, worth, at)


class IncomingPayments(_Case):
    stream, entity, value_column, path = "incoming_payments", "payment", "amount", "incoming_payment_details"

    def record(self, key: str, worth: Any, at: datetime) -> dict[str, Any]:
        return incoming(key, worth, at, as_of_date=str(at.date()))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MT_TEST_ORGANIZATION", "org-id")
    monkeypatch.setenv("MT_TEST_KEY", "s3cret")


class TestAccounts(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Accounts() as case:
            yield case


class TestBalances(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Balances() as case:
            yield case


class TestTransactions(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Transactions() as case:
            yield case


class TestExpectedPayments(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with ExpectedPayments() as case:
            yield case


class TestPaymentOrders(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with PaymentOrders() as case:
            yield case


class TestIncomingPayments(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with IncomingPayments() as case:
            yield case


@pytest.fixture
def organisation() -> Iterator[Organisation]:
    organisation = Organisation()
    yield organisation
    organisation.server.close()


def _mapped(stream: str, *rows: dict[str, Any] | str, **options: Any) -> Mapped:
    """These records (a text: as it stands on the wire) as a page of the stream."""
    connection = Connection(
        name="mt", system="modern_treasury", region="NA", legal_entities=("US01",), options=options,
        secrets={"organization_id": "env:MT_TEST_ORGANIZATION", "api_key": "env:MT_TEST_KEY"},
    )  # fmt: skip
    body = "[" + ",".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "]"
    return make_source(connection, LANDSCAPE).map(stream, Page(body.encode(), "application/json", None))


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (1050, "USD", "10.50"), (1050, "JPY", "1050"), (1050, "BHD", "1.050"), (1050, "CLF", "0.1050"), (5, "USD", "0.05"), (0, "USD", "0"),
        (-5, "BHD", "-0.005"), (900719925474099312, "USD", "9007199254740993.12"), (9007199254740993, "JPY", "9007199254740993"),
    ],
)  # fmt: skip
def test_minor_units_become_exact_amounts(minor: int, currency: str, amount: str) -> None:
    """By the exponent that ISO 4217 gives the currency, also beyond what a double can hold; too large for the ledger is refused."""
    mapped = _mapped("transactions", transaction("t1", minor, NOW, currency=currency))
    if abs(Decimal(amount)) >= 10**15:
        assert mapped.rejects["cause"].to_list() == ["bad_amount"]
    else:
        assert mapped.frames["bank_transaction"]["amount"].to_list() == [Decimal(amount)]


def test_beyond_the_safe_integers_the_text_counts() -> None:
    """`amount` was rounded on its way, `amount_string` was not."""
    row = json.dumps(transaction("t1", 1, NOW)).replace('"amount": 1,', '"amount": 90071992547409930,')
    row = row.replace('"amount_string": "1"', '"amount_string": "90071992547409931"')
    assert _mapped("transactions", row).frames["bank_transaction"]["amount"].to_list() == [Decimal("900719925474099.31")]


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        ({"amount": 10.5, "amount_string": "10.5"}, "bad_amount"), ({"amount": 1000, "amount_string": "1001"}, "bad_amount"),
        ({"amount": None, "amount_string": None}, "missing_field"), ({"amount": 1, "amount_string": "1e3"}, "bad_amount"),
        ({"currency": "USDC"}, "bad_currency"), ({"currency": None}, "missing_field"), ({"direction": "sideways"}, "bad_value"),
        ({"as_of_date": "2026-02-31"}, "bad_date"), ({"updated_at": "yesterday"}, "bad_time"), ({"updated_at": "2026-05-15T10:00:00"}, "bad_time"),
        ({"internal_account_id": None}, "missing_field"), ({"id": ""}, "missing_field"), ({"posted": "perhaps"}, "bad_value"),
        ({"amount": {"value": 1}}, "schema_drift"),
    ],
)  # fmt: skip
def test_a_transaction_that_can_not_be_believed_costs_only_itself(broken: dict[str, Any], cause: str) -> None:
    """It is quarantined with its cause and evidence; its neighbour lands."""
    mapped = _mapped("transactions", transaction("t1", 1, NOW) | broken, transaction("t2", 250, NOW))
    assert mapped.frames["bank_transaction"]["source_key"].to_list() == ["t2"]
    assert mapped.rejects["cause"].to_list() == [cause]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(number: str) -> None:
    """NaN and the infinities are no JSON: the record that holds one is malformed, its neighbour lands."""
    row = json.dumps(transaction("t1", 1, NOW)).replace('"amount": 1,', f'"amount": {number},')
    mapped = _mapped("transactions", row, transaction("t2", 250, NOW))
    assert mapped.frames["bank_transaction"]["source_key"].to_list() == ["t2"]
    assert mapped.rejects["cause"].to_list() == ["malformed_record"]


def test_a_transaction_is_signed_and_only_posted_ones_count() -> None:
    """Debit is money out; a pending, a discarded one is not there; a return of the bank's is a reversal."""
    frame = _mapped(
        "transactions",
        transaction("in", 100, NOW), transaction("out", 100, NOW, direction="debit"), transaction("pending", 100, NOW, posted=False),
        transaction("gone", 100, NOW, discarded_at=stamp(NOW)), transaction("return", 100, NOW, direction="debit", vendor_code="555"),
        transaction("iso", 100, NOW, vendor_code="PMNT-RCDT-RRTN", vendor_code_type="iso20022"),
    ).frames["bank_transaction"]  # fmt: skip
    rows = {row["source_key"]: (row["amount"], row["is_deleted"], row["is_reversal"]) for row in frame.to_dicts()}
    assert rows == {
        "in": (Decimal(1), False, False), "out": (Decimal(-1), False, False), "pending": (Decimal(1), True, False),
        "gone": (Decimal(1), True, False), "return": (Decimal(-1), False, True), "iso": (Decimal(1), False, True),
    }  # fmt: skip


def test_an_expected_payment_is_careful_about_its_range() -> None:
    """Money in: the lower amount on the later day; money out: the higher on the earlier; what is reconciled happened, the rest is open."""
    wide = {"amount_lower_bound": 100, "amount_upper_bound": 300}
    frame = _mapped(
        "expected_payments",
        expected("in", 0, NOW, **wide), expected("out", 0, NOW, direction="debit", **wide), expected("one", 0, NOW, amount_lower_bound=None, amount_upper_bound=70),
        expected("part", 500, NOW, status="partially_reconciled", amount_reconciled=200, amount_unreconciled=300),
        expected("done", 500, NOW, status="reconciled", amount_reconciled=490), expected("gone", 500, NOW, status="archived"),
        expected("ours", 500, NOW, metadata={"tidegate_reference": "TG-1"}, date_lower_bound=None),
    ).frames["forecast_item"]  # fmt: skip
    rows = {row["source_key"]: (row["amount"], str(row["expected_date"]), row["confidence"], row["is_deleted"]) for row in frame.to_dicts()}
    assert rows == {
        "in": (Decimal(1), "2026-06-03", "estimated", False), "out": (Decimal(-3), "2026-06-01", "estimated", False),
        "one": (Decimal("0.7"), "2026-06-03", "estimated", False), "part": (Decimal(3), "2026-06-03", "estimated", False),
        "done": (Decimal("4.9"), "2026-06-03", "actual", False), "gone": (Decimal(5), "2026-06-03", "estimated", True),
        "ours": (Decimal(5), "2026-06-03", "estimated", False),
    }  # fmt: skip
    assert dict(frame.select("source_key", "reference").iter_rows())["ours"] == "TG-1"


@pytest.mark.parametrize(
    "broken",
    [
        {"amount_lower_bound": None, "amount_upper_bound": None},
        {"date_lower_bound": None, "date_upper_bound": None},
        {"direction": None},
        {"currency": None},
    ],
)
def test_an_expected_payment_that_says_too_little_is_no_forecast(broken: dict[str, Any]) -> None:
    """All of it may be empty by the contract: without an amount, a day or a direction it is quarantined, in words."""
    mapped = _mapped("expected_payments", expected("k1", 100, NOW) | broken, expected("k2", 100, NOW))
    assert mapped.rejects["cause"].to_list() == ["missing_field"]
    assert mapped.frames["forecast_item"]["source_key"].to_list() == ["k2"]


def test_payment_orders_that_send_are_outgoing_payments() -> None:
    """Credit sends; debit collects and is left out. Every status of the contract has its place; an unknown one is refused."""
    statuses = {
        "needs_approval": "requested", "held": "requested", "approved": "approved", "pending": "approved", "processing": "approved",
        "sent": "executed", "completed": "executed", "denied": "rejected", "cancelled": "rejected", "stopped": "rejected", "failed": "failed",
        "returned": "failed", "reversed": "failed",
    }  # fmt: skip
    rows = [order(status, 100, NOW, status=status) for status in statuses]
    mapped = _mapped("payment_orders", *rows, order("collects", 100, NOW, direction="debit"), order("odd", 1, NOW, status="vanished"))
    assert dict(mapped.frames["outgoing_payment"].select("source_key", "status").iter_rows()) == statuses
    assert mapped.rejects.select("source_key", "cause").rows() == [("odd", "bad_value")]
    assert set(mapped.frames["outgoing_payment"]["payee"]) == {"Lakeshore Tools"}


def test_a_report_brings_each_of_its_balances(organisation: Organisation) -> None:
    """Ledger balances are booked ones, available ones available; what says nothing of its own is left out; the later change wins."""
    one = report("r1", 100, date(2026, 5, 19), NOW)
    kinds = ("opening_ledger", "closing_ledger", "current_ledger", "closing_available", "opening_available_next_business_day", "other")
    one["balances"] = [one["balances"][0] | {"balance_type": kind} for kind in kinds]
    frame = _mapped("balances", one).frames["bank_balance"]
    assert frame["balance_type"].to_list() == ["opening_booked", "closing_booked", "intraday", "available", "forward_available"]
    assert set(frame["ordinal"]) == {0}
    one["balances"][1] = one["balances"][1] | {"amount_string": "101"}
    broken = _mapped("balances", one, report("r2", 7, date(2026, 5, 18), NOW))
    assert broken.rejects.select("ordinal", "cause").rows() == [(0, "bad_amount")]
    assert broken.frames["bank_balance"]["ordinal"].to_list() == [1]


def test_accounts_of_several_companies_are_told_apart(organisation: Organisation) -> None:
    """By id, external id, legal entity id or name; what lies on them follows, and so does their region."""
    organisation.put("internal_accounts", account(ACCOUNT, legal_entity_id="le-de"))
    organisation.put("transactions", transaction("t1", 100, NOW - timedelta(days=1)))
    connection = organisation.connection(legal_entity_by_account={"le-de": "DE01"})
    source = make_source(connection, LANDSCAPE)
    store = Store()
    for stream in ("accounts", "transactions"):
        pull(source, stream, None, store, now=NOW)
    source.close()
    assert {(row["legal_entity"], row["region"]) for row in store.rows.values()} == {("DE01", "EMEA")}


def test_an_account_that_another_connection_reports_is_left_out(organisation: Organisation) -> None:
    """Nothing of it is counted a second time; its balances are not even asked for."""
    organisation.put("internal_accounts", account(ACCOUNT))
    organisation.put("transactions", transaction("t1", 100, NOW))
    source = make_source(organisation.connection(leave_out_accounts=[ACCOUNT]), LANDSCAPE)
    store = Store()
    for stream in ("balances", "transactions"):
        pull(source, stream, None, store, now=NOW)
    source.close()
    assert store.rows == {}
    assert not any("balance_reports" in asked.path for asked in organisation.server.asked)


def test_a_walk_is_taken_up_at_its_own_cursor_or_begun_anew(organisation: Organisation) -> None:
    """The list's cursor is handed back as it came; one that the organisation no longer knows costs a walk from the beginning."""
    for n in range(1, 6):
        organisation.put("expected_payments", expected(f"k{n}", n, NOW - timedelta(days=n)))
    source = make_source(organisation.connection(), LANDSCAPE)
    first = next(iter(pages_of(source, "expected_payments", None, now=NOW)))
    store = Store()
    pull(source, "expected_payments", first.cursor, store, now=NOW)
    assert organisation.server.asked[-2].query["after_cursor"] == "2"
    fresh = organisation._fresh

    def forgetful(path: str, asked: Asked) -> Reply:
        if asked.query.get("after_cursor") == "stale":
            return reply_json(
                {"errors": {"code": "parameter_invalid", "message": "after_cursor is invalid", "parameter": "after_cursor"}}, 422
            )
        return fresh(path, asked)

    organisation._fresh = forgetful  # type: ignore[method-assign]
    again = Store()
    pull(source, "expected_payments", {"began": NOW.isoformat(), "after": "stale"}, again, now=NOW)
    source.close()
    assert len(again.rows) == 5


def test_a_long_rest_is_caught_up_by_reading_reports_whole(organisation: Organisation) -> None:
    """A few days are asked for one by one, by their day; after more than a month everything is."""
    organisation.put("internal_accounts", account(ACCOUNT))
    path = f"internal_accounts/{ACCOUNT}/balance_reports"
    organisation.put(path, report("r1", 100, date(2026, 3, 2), NOW))
    source = make_source(organisation.connection(balance_reread_days=2), LANDSCAPE)
    for through, days in (("2026-05-19", ["2026-05-17", "2026-05-18", "2026-05-19", "2026-05-20"]), ("2026-03-01", [None])):
        before = len(organisation.server.asked)
        list(pages_of(source, "balances", {"through": through}, now=NOW))
        asked = [each.query.get("as_of_date") for each in organisation.server.asked[before:] if "balance_reports" in each.path]
        assert asked == days
    source.close()


def test_a_record_that_was_named_is_read_again_or_found_gone(organisation: Organisation) -> None:
    """One record by its id, in the form of a page; a 404 says that it is not there any more; balances by their account."""
    organisation.put("internal_accounts", account(ACCOUNT))
    organisation.put("transactions", transaction("t1", 100, NOW))
    organisation.put(f"internal_accounts/{ACCOUNT}/balance_reports", report("r1", 100, NOW.date(), NOW))
    source = make_source(organisation.connection(), LANDSCAPE)
    assert isinstance(source, ModernTreasurySource)
    found, gone = (source.map("transactions", page) for page in source.reread("transactions", ["t1", "t2"], now=NOW))
    assert found.frames["bank_transaction"]["source_key"].to_list() == ["t1"]
    assert gone.gone.select("entity", "source_key").rows() == [("bank_transaction", "t2")]
    assert gone.records == 1
    balances = [source.map("balances", page).frames["bank_balance"].height for page in source.reread("balances", [ACCOUNT], now=NOW)]
    source.close()
    assert sum(balances) == 1


def _forbidding(organisation: Organisation, *accounts: str) -> None:
    """From now on the reports of these accounts are refused."""
    fresh = organisation._fresh

    def forbidding(path: str, asked: Asked) -> Reply:
        if path.endswith("/balance_reports") and path.split("/")[1] in accounts:
            return reply_json({"errors": {"code": "forbidden", "message": "not this account", "parameter": ""}}, 403)
        return fresh(path, asked)

    organisation._fresh = forbidding  # type: ignore[method-assign]


def test_an_account_whose_reports_are_refused_costs_only_itself(organisation: Organisation) -> None:
    """403 is an answer of the contract: one exception for the account, the other's balances land, the cursor moves."""
    others = [f"11111111-0000-0000-0000-00000000000{n}" for n in (0, 2)]
    for key in (ACCOUNT, *others):
        organisation.put("internal_accounts", account(key))
    organisation.put(f"internal_accounts/{ACCOUNT}/balance_reports", report("r1", 100, NOW.date(), NOW))
    _forbidding(organisation, *others)
    source, store = make_source(organisation.connection(), LANDSCAPE), Store()
    done = pull(source, "balances", None, store, now=NOW)
    assert len(store.live("bank_balance")) == 1
    assert [(reject["cause"], reject["source_key"]) for reject in store.rejects] == [("source_permanent", key) for key in others]
    assert "not this account" in store.rejects[0]["message"]
    assert done.cursor == {"through": str(NOW.date())}
    _forbidding(organisation, ACCOUNT)
    with pytest.raises(PermanentError, match="not this account"):
        pull(source, "balances", None, Store(), now=NOW)
    source.close()


@pytest.mark.parametrize("body", [b"{}", b"null", b'"text"', b"[1,", b"<html/>", b"\xff\xfe", b'{"errors":{"code":"x"}}'])
def test_an_answer_that_is_no_list_is_an_outage(organisation: Organisation, body: bytes) -> None:
    """Nothing lands and no cursor moves."""
    organisation._fresh = lambda _path, _asked: Reply(body)  # type: ignore[method-assign,assignment]
    source = make_source(organisation.connection(), LANDSCAPE)
    with pytest.raises(TransientError):
        pull(source, "transactions", None, Store(), now=NOW)
    source.close()


def test_the_probe_says_what_is_well_and_what_the_key_may_not(organisation: Organisation) -> None:
    """Ping, clock and a first page of each stream; a list that the key may not read is named with what to do."""
    organisation.put("internal_accounts", account(ACCOUNT))
    source = make_source(organisation.connection(), LANDSCAPE)
    assert isinstance(source, ModernTreasurySource)
    good = list(source.probe(now=NOW))
    assert all(finding.ok for finding in good), good
    assert [finding.what for finding in good][:2] == ["credentials", "clock"]
    fresh = organisation._fresh

    def forbidding(path: str, asked: Asked) -> Reply:
        if path == "payment_orders":
            return reply_json({"errors": {"code": "forbidden", "message": "You lack the permission", "parameter": None}}, 403)
        return fresh(path, asked)

    organisation._fresh = forbidding  # type: ignore[method-assign]
    bad = [finding for finding in source.probe(now=NOW) if not finding.ok]
    source.close()
    assert [finding.what for finding in bad] == ["payment_orders first page"]
    assert "the right to read payment orders" in bad[0].words


@pytest.mark.parametrize("options", [{"page_size": 101}, {"balance_reread_days": 0}, {"legal_entity_by_account": ["DE01"]}])
def test_a_wrong_option_is_named(organisation: Organisation, options: dict[str, Any]) -> None:
    """A ConfigError with the option's name."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        make_source(organisation.connection(**options), LANDSCAPE)


@pytest.mark.parametrize(("minor", "outcome"), [(1000, "already"), (999, "differs")])
def test_a_reference_that_was_taken_meanwhile_is_looked_at(organisation: Organisation, minor: int, outcome: str) -> None:
    """Somebody created it between our look and our write: refused because the external id is taken, it is read and compared."""
    fresh = organisation._fresh

    def racing(path: str, asked: Asked) -> Reply:
        if asked.method != "POST":
            return fresh(path, asked)
        sent = asked.json()
        organisation.put(
            "expected_payments",
            expected("e1", minor, NOW, **{name: sent[name] for name in ("external_id", "date_lower_bound", "date_upper_bound")}),
        )
        return reply_json({"errors": {"code": "parameter_invalid", "message": "has been taken", "parameter": "external_id"}}, 422)

    organisation._fresh = racing  # type: ignore[method-assign]
    target = make_target(organisation.connection(), LANDSCAPE)
    payload = {"amount": "10", "currency": "USD", "expected_date": "2026-06-01", "company": "US01", "account": ACCOUNT}
    assert target.apply(Order("forecast:x", "publish_forecast", "x", payload)).outcome == outcome
    target.close()


@pytest.mark.parametrize("end", [None, 20])
def test_a_key_at_work_is_an_unknown_outcome(organisation: Organisation, end: int | None) -> None:
    """409: another request under the same key has not ended; it is read before it is tried again, also where its words are cut off."""
    fresh = organisation._fresh
    conflict = Reply(b'{"errors": {"code": "conflict", "message": "in progress", "parameter": null}}'[:end], 409)
    organisation._fresh = lambda path, asked: conflict if asked.method == "POST" else fresh(path, asked)  # type: ignore[method-assign]
    target = make_target(organisation.connection(), LANDSCAPE)
    payload = {"amount": "10", "currency": "USD", "expected_date": "2026-06-01", "company": "US01", "account": ACCOUNT}
    with pytest.raises(UnknownOutcome):
        target.apply(Order("forecast:x", "publish_forecast", "x", payload))
    target.close()
    posted = next(asked for asked in organisation.server.asked if asked.method == "POST")
    assert posted.headers["idempotency-key"] == posted.json()["external_id"] == posted.json()["metadata"]["tidegate_reference"]

"""Modern Treasury against a server that was written from its public description alone: a book of records, read to the end and compared.

Every answer is held to the description before it leaves. Lists have small pages, empty pages with a cursor and records that move to the
front while they are read; nothing here knows how the adapter asks.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sandbox.modern_treasury import spec
from sync.connections import Connection, Landscape, LegalEntity
from sync.errors import AuthError, PermanentError, QuotaError, SourceError, UnknownOutcome
from sync.ports import Cursor, Order, Page
from sync.systems.modern_treasury import make_source, make_target
from sync.systems.modern_treasury.source import ModernTreasurySource
from tests.contracts.suite_openapi import Description
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
PLACES = {"USD": 2, "JPY": 0, "BHD": 3}
DESCRIPTION = Description(spec.spec())
ITEM = {
    "internal_accounts": "internal_account", "transactions": "transaction", "expected_payments": "expected_payment",
    "payment_orders": "payment_order", "incoming_payment_details": "incoming_payment_detail", "balance_reports": "balance_report",
}  # fmt: skip
BOUNDS = {
    "as_of_date_start": ("as_of_date", 10), "created_at_start": ("created_at", 10), "updated_at_lower_bound": ("updated_at", 20),
}  # fmt: skip


def key_of(*parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


def blank(schema: Mapping[str, Any], name: str = "") -> Any:
    """The least value that the description allows: null where it may be, else the first of an enumeration, a zero, a set form."""
    if "$ref" in schema:
        schema = {**spec.spec()["components"]["schemas"][schema["$ref"].rpartition("/")[2]], **schema}
    if schema.get("nullable"):
        return None
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "object" or "properties" in schema:
        return {inner: blank(one, inner) for inner, one in schema.get("properties", {}).items()}
    forms = {"uuid": key_of(name), "date-time": "2026-05-01T00:00:00Z", "date": "2026-05-01", "time": "12:00:00"}
    if schema.get("type") == "string":
        return forms.get(schema.get("format", ""), "text")
    return {"integer": 0, "number": 0, "boolean": True, "array": []}[schema["type"]]


def stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


class Book:
    """The organisation's books, newest first. `held`: list -> records; `cap`: how many a page holds at most, whatever is asked for."""

    def __init__(self) -> None:
        self.held: dict[str, list[dict[str, Any]]] = {name: [] for name in ITEM if name != "balance_reports"}
        self.cap = 3
        self.gaps = True
        """Whether an empty page with a cursor comes after each first page."""
        self.moving: tuple[str, dict[str, Any]] | None = None
        """A list and the record that moves to its front, once, after its first page has been given."""
        self.refusing: Reply | None = None
        self.drop_writes = 0
        """So many writes are carried out and their answers never sent."""
        self.keys: dict[str, tuple[bytes, Reply]] = {}
        self.faults: list[str] = []
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        return Connection(
            name="mt-book", system="modern_treasury", region="NA", legal_entities=("US01",), allow_private_addresses=True,
            options={"base_url": self.server.url, **options},
            secrets={"organization_id": "env:MT_BOOK_ORGANIZATION", "api_key": "env:MT_BOOK_KEY"},
        )  # fmt: skip

    def add(self, path: str, number: int, at: datetime, **values: Any) -> dict[str, Any]:
        """A record with every field of the description, at the front."""
        made: dict[str, Any] = blank({"$ref": f"#/components/schemas/{ITEM[path.rpartition('/')[2]]}"})
        made |= {
            "id": key_of(path, number),
            "object": ITEM[path.rpartition("/")[2]],
            "created_at": stamp(at),
            "updated_at": stamp(at),
            **values,
        }
        self.held.setdefault(path, []).insert(0, made)
        return made

    def change(self, path: str, row: dict[str, Any], at: datetime, **values: Any) -> None:
        """The record with other values, at the front."""
        row |= {"updated_at": stamp(at), **values}
        self.held[path].remove(row)
        self.held[path].insert(0, row)

    def answer(self, asked: Asked) -> Reply:
        """The answer, once it and the question have been held to the description; what does not fit is a fault that fails the test."""
        try:
            DESCRIPTION.request(asked.method, asked.path, asked.query, asked.headers, asked.json() if asked.body else None)
            given = self._answer(asked)
            described = DESCRIPTION.operation(asked.method, asked.path)[1]["responses"]
            shape = str(given.status) in described and given.raw is None
            body = json.loads(given.body)
            if shape:
                DESCRIPTION.answer(asked.method, asked.path, given.status, body)
            elif given.status >= 400:
                DESCRIPTION.validator({"$ref": "#/components/schemas/error_message"}).validate(body)
        except Exception as error:
            self.faults.append(repr(error))
            raise
        return given

    def _answer(self, asked: Asked) -> Reply:
        if base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) != b"org:key":
            return refusal("invalid_key", 401)
        if self.refusing is not None:
            return self.refusing
        path = asked.path.removeprefix("/api/")
        if asked.method == "POST":
            return self._write(path, asked)
        if path in self.held:
            return self._page(path, asked)
        parent, _, key = path.rpartition("/")
        found = [row for row in self.held.get(parent, ()) if row["id"] == key]
        return reply_json(found[0]) if found else refusal("resource_not_found", 404)

    def _page(self, path: str, asked: Asked) -> Reply:
        """The records behind the cursor, which names the record that was given last and the place it stood at."""
        query = asked.query
        rows = [row for row in self.held[path] if passes(row, query)]
        place, _, gap = (query.get("after_cursor") or "0").partition("-")
        start, size = int(place), min(int(query.get("per_page", "25")), self.cap)
        headers = {"X-Per-Page": str(size)}
        if self.gaps and start == size and not gap:
            return Reply(b"[]", headers={**headers, "X-After-Cursor": f"{start}-gap"})
        page = rows[start : start + size]
        if start + size < len(rows):
            headers["X-After-Cursor"] = str(start + size)
        body = json.dumps(page).encode()
        if self.moving is not None and self.moving[0] == path:
            (_, row), self.moving = self.moving, None
            self.change(path, row, NOW)
        return Reply(body, headers=headers)

    def _write(self, path: str, asked: Asked) -> Reply:
        key = asked.headers["idempotency-key"]
        if key in self.keys:
            body, before = self.keys[key]
            return before if body == asked.body else refusal("conflict", 409)
        sent = asked.json()
        if any(row["external_id"] == sent["external_id"] for row in self.held[path]):
            return refusal("parameter_invalid", 422, "external_id")
        made = self.add(path, len(self.held[path]), NOW, **sent, status="unreconciled")
        given = reply_json(made, 201)
        self.keys[key] = (asked.body, given)
        if self.drop_writes:
            self.drop_writes -= 1
            DESCRIPTION.answer("POST", asked.path, 201, made)
            return Reply(b"{}", 201, raw=lambda _write: None)
        return given


def refusal(code: str, status: int, parameter: str = "", **headers: str) -> Reply:
    return reply_json({"errors": {"code": code, "message": f"{code}, they say", "parameter": parameter}}, status, **headers)


def passes(row: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    for name, value in query.items():
        field, length = BOUNDS.get(name, (name, 1000))
        if name in ("per_page", "after_cursor"):
            continue
        if name.startswith("metadata["):
            if row["metadata"].get(name[9:-1]) != value:
                return False
        elif name in BOUNDS:
            if str(row[field])[:length] < value[:length]:
                return False
        elif str(row[field]).lower() != value.lower():
            return False
    return True


def major(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-PLACES[currency])


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    monkeypatch.setenv("MT_BOOK_ORGANIZATION", "org")
    monkeypatch.setenv("MT_BOOK_KEY", "key")
    made = Book()
    for number, currency in enumerate(PLACES):
        made.add("internal_accounts", number, NOW - timedelta(days=400), currency=currency, name=f"Cash {currency}", party_name="US Inc")
        made.held[f"internal_accounts/{key_of('internal_accounts', number)}/balance_reports"] = []
    yield made
    made.server.close()
    assert made.faults == []


def account_of(currency: str) -> str:
    return key_of("internal_accounts", list(PLACES).index(currency))


class Reader:
    """What a house would hold after its pulls: the last version of each record, and everything that was refused."""

    def __init__(self, source: ModernTreasurySource) -> None:
        self.source = source
        self.cursors: dict[str, Cursor] = {}
        self.held: dict[str, dict[str, Any]] = {}
        self.refused: list[dict[str, Any]] = []

    def pull(self, stream: str, now: datetime = NOW) -> list[Page]:
        """Pulls to the end; the last page says so."""
        pages = list(self.source.pull(stream, self.cursors.get(stream), now=now))
        assert pages[-1].complete_until == now
        for page in pages:
            mapped = self.source.map(stream, page)
            self.refused += mapped.rejects.to_dicts()
            for frame in mapped.frames.values():
                for row in frame.to_dicts():
                    if row["source_version"] >= self.held.get(row["source_key"], row)["source_version"]:
                        self.held[row["source_key"]] = row
            self.cursors[stream] = page.cursor or self.cursors.get(stream, {})
        return pages


@pytest.fixture
def reader(book: Book) -> Iterator[Reader]:
    source = make_source(book.connection(), LANDSCAPE)
    yield Reader(source)
    source.close()


LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="US01", name="Meridian Inc", region="NA", currency="USD"),))


def transactions(book: Book, count: int = 11) -> None:
    for number in range(count):
        currency = list(PLACES)[number % 3]
        minor = 1 + 10**number  # from less than a unit up to more than a million
        day = date(2026, 4, 10) + timedelta(days=number)
        book.add(
            "transactions", number, NOW - timedelta(hours=count - number), amount=minor, amount_string=str(minor), currency=currency,
            direction="debit" if number % 2 else "credit", as_of_date=str(day), posted=True, internal_account_id=account_of(currency),
            vendor_code="555" if number == 4 else "142", vendor_code_type="bai2",
        )  # fmt: skip


def test_transactions_of_every_number_of_decimals_come_whole(book: Book, reader: Reader) -> None:
    transactions(book)
    for _ in range(2):
        reader.pull("transactions")
    assert reader.refused == []
    assert len(reader.held) == 11
    for row in book.held["transactions"]:
        ours = reader.held[row["id"]]
        sign = 1 if row["direction"] == "credit" else -1
        assert (ours["amount"], ours["currency"]) == (sign * major(row["amount"], row["currency"]), row["currency"])
        assert (str(ours["booking_date"]), ours["account"]) == (row["as_of_date"], row["internal_account_id"])
        assert (ours["is_deleted"], ours["is_reversal"]) == (False, row["vendor_code"] == "555")


def test_a_discarded_transaction_is_deleted(book: Book, reader: Reader) -> None:
    transactions(book)
    reader.pull("transactions")
    later = NOW + timedelta(minutes=5)
    row = book.held["transactions"][0]
    book.change("transactions", row, later, discarded_at=stamp(later), as_of_date="2026-05-20")
    reader.pull("transactions", later)
    assert [key for key, one in reader.held.items() if one["is_deleted"]] == [row["id"]]


def test_an_amount_that_no_double_holds_is_read_from_its_text(book: Book, reader: Reader) -> None:
    book.add(
        "transactions", 1, NOW, amount=9007199254740993, amount_string="9007199254740993", currency="USD", direction="credit",
        as_of_date="2026-05-20", posted=True, internal_account_id=account_of("USD"),
    )  # fmt: skip
    reader.pull("transactions")
    assert [row["amount"] for row in reader.held.values()] == [Decimal("90071992547409.93")]


def expected(book: Book, number: int, at: datetime, **values: Any) -> dict[str, Any]:
    return book.add(
        "expected_payments", number, at,
        **{"currency": "USD", "direction": "credit", "status": "unreconciled", "amount_lower_bound": 1000 + number, "amount_upper_bound": 2000,
           "date_lower_bound": "2026-06-01", "date_upper_bound": "2026-06-03", "internal_account_id": account_of("USD"), **values},
    )  # fmt: skip


@pytest.mark.parametrize("path", ["expected_payments", "transactions"])
def test_a_record_that_moves_to_the_front_while_it_is_read_is_had_with_the_next_pull(book: Book, reader: Reader, path: str) -> None:
    if path == "transactions":
        transactions(book)
    else:
        for number in range(11):
            expected(book, number, NOW - timedelta(hours=20 - number))
    last = book.held[path][-1]
    book.moving = (path, last)
    reader.pull(path)
    reader.pull(path, NOW + timedelta(minutes=1))
    assert set(reader.held) == {row["id"] for row in book.held[path]}


def test_what_changes_behind_a_walk_that_rested_is_had_with_the_next_pull(book: Book, reader: Reader) -> None:
    """A worker dies on its way, the next one goes on hours later: what changed meanwhile where the walk had been is not passed over,
    although newer changes came from further on.
    """
    rows = [expected(book, number, NOW - timedelta(hours=20 - number)) for number in range(9)]
    walking = reader.source.pull("expected_payments", None, now=NOW)
    cursor = next(walking).cursor
    rows[8] |= {"updated_at": stamp(NOW + timedelta(hours=1)), "amount_lower_bound": 1, "amount_upper_bound": 1}
    rows[0] |= {"updated_at": stamp(NOW + timedelta(hours=2))}
    reader.cursors["expected_payments"] = cursor or {}
    reader.pull("expected_payments", NOW + timedelta(hours=3))
    reader.pull("expected_payments", NOW + timedelta(hours=3, minutes=1))
    assert reader.held[rows[8]["id"]]["amount"] == Decimal("0.01")


def test_a_cursor_that_is_forgotten_on_the_way_begins_the_walk_anew(book: Book, reader: Reader) -> None:
    transactions(book)
    walking = reader.source.pull("transactions", None, now=NOW)
    pages = [next(walking)]
    book.server.between = lambda asked, answer: (
        refusal("parameter_invalid", 422, "after_cursor") if "after_cursor" in asked.query else answer()
    )
    pages.append(next(walking))
    book.server.between = None
    pages += walking
    assert sum(reader.source.map("transactions", page).records for page in pages) == 3 + 11
    assert pages[-1].complete_until == NOW


def test_expected_payments_in_every_state(book: Book, reader: Reader) -> None:
    expected(book, 1, NOW, direction="debit")
    expected(book, 2, NOW, status="archived")
    expected(book, 3, NOW, status="partially_reconciled", amount_reconciled=400, amount_unreconciled=603)
    expected(book, 4, NOW, status="reconciled", amount_reconciled=1004)
    expected(book, 5, NOW, currency="BHD", amount_lower_bound=1234567, amount_upper_bound=None, date_upper_bound=None)
    expected(book, 6, NOW, currency="JPY", direction="debit", amount_lower_bound=None, amount_upper_bound=5000)
    for _ in range(2):
        reader.pull("expected_payments")
    assert reader.refused == []
    told = {key_of("expected_payments", n): n for n in range(1, 7)}
    assert {told[key]: (row["amount"], str(row["expected_date"]), row["confidence"], row["is_deleted"]) for key, row in reader.held.items()} == {
        1: (Decimal(-20), "2026-06-01", "estimated", False), 2: (Decimal("10.02"), "2026-06-03", "estimated", True),
        3: (Decimal("6.03"), "2026-06-03", "estimated", False), 4: (Decimal("10.04"), "2026-06-03", "actual", False),
        5: (Decimal("1234.567"), "2026-06-01", "estimated", False), 6: (Decimal(-5000), "2026-06-01", "estimated", False),
    }  # fmt: skip


def test_payment_orders_and_incoming_payments_in_every_state(book: Book, reader: Reader) -> None:
    states = spec.spec()["components"]["schemas"]["payment_order"]["properties"]["status"]["enum"]
    for number, state in enumerate(states):
        book.add("payment_orders", number, NOW, status=state, direction="credit", amount=100 + number, currency="BHD",
                 effective_date="2026-05-21", originating_account_id=account_of("BHD"))  # fmt: skip
    for number, state in enumerate(("completed", "pending", "returned")):
        book.add("incoming_payment_details", number, NOW, status=state, direction="credit", amount=700 + number, currency="JPY",
                 as_of_date="2026-05-19", internal_account_id=account_of("JPY"))  # fmt: skip
    for stream in ("payment_orders", "incoming_payments") * 2:
        reader.pull(stream)
    assert reader.refused == []
    orders = {row["status"]: reader.held[row["id"]] for row in book.held["payment_orders"]}
    assert {state: orders[state]["amount"] for state in states} == {s: Decimal(100 + n).scaleb(-3) for n, s in enumerate(states)}
    assert {orders[state]["status"] for state in ("returned", "reversed", "failed")} == {"failed"}
    incoming = {row["status"]: reader.held[row["id"]] for row in book.held["incoming_payment_details"]}
    assert {state: (row["status"], row["amount"]) for state, row in incoming.items()} == {
        "completed": ("settled", 700), "pending": ("pending", 701), "returned": ("returned", 702),
    }  # fmt: skip


def balance(number: int, kind: str, minor: int, currency: str) -> dict[str, Any]:
    made: dict[str, Any] = blank({"$ref": "#/components/schemas/balance"})
    return {
        **made,
        "id": key_of("balance", number, kind),
        "balance_type": kind,
        "amount": minor,
        "amount_string": str(minor),
        "currency": currency,
    }


def test_balance_reports_of_every_account(book: Book, reader: Reader) -> None:
    written: dict[tuple[str, str, str], Decimal] = {}
    for currency in PLACES:
        account = account_of(currency)
        for days in range(5):
            day, minor = str(NOW.date() - timedelta(days=days)), -5 if days == 2 else 1234567 + days
            book.add(f"internal_accounts/{account}/balance_reports", days, NOW - timedelta(days=days), internal_account_id=account,
                     as_of_date=day, balance_report_type="previous_day",
                     balances=[balance(days, kind, minor, currency) for kind in ("closing_ledger", "current_available", "other")])  # fmt: skip
            written[account, day, "closing_booked"] = written[account, day, "available"] = major(minor, currency)
    for _ in range(2):
        reader.pull("balances")
    assert reader.refused == []
    assert {(r["account"], str(r["as_of_date"]), r["balance_type"]): r["amount"] for r in reader.held.values()} == written


def test_accounts_come_with_their_currencies_and_a_closed_one_is_deleted(book: Book, reader: Reader) -> None:
    reader.pull("accounts")
    book.change("internal_accounts", book.held["internal_accounts"][-1], NOW, status="closed")
    reader.pull("accounts")
    assert {row["currency"]: row["is_deleted"] for row in reader.held.values()} == {"USD": True, "JPY": False, "BHD": False}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (refusal("invalid_key", 401), AuthError),
        (refusal("expired_key", 401), AuthError),
        (refusal("too_many_requests", 429, Retry_After="7"), QuotaError),
        (refusal("parameter_invalid", 422, "per_page"), PermanentError),
        (refusal("forbidden", 403), PermanentError),
    ],
)
def test_a_refusal_is_told_by_its_own_words(book: Book, reader: Reader, given: Reply, error: type[SourceError]) -> None:
    book.refusing = given
    with pytest.raises(error) as told:
        reader.pull("transactions")
    assert error is QuotaError or "they say" in str(told.value)


def order(amount: str, currency: str) -> Order:
    payload = {"amount": amount, "currency": currency, "expected_date": "2026-06-01", "description": "Receipts", "company": "US01"}
    return Order(f"forecast:{currency}", "publish_forecast", currency, payload)


@pytest.mark.parametrize(("amount", "currency", "minor"), [("-12.34", "USD", 1234), ("5000", "JPY", 5000), ("1.234", "BHD", 1234)])
def test_a_forecast_whose_answer_was_dropped_is_published_once(book: Book, amount: str, currency: str, minor: int) -> None:
    target = make_target(book.connection(), LANDSCAPE)
    book.drop_writes = 1
    with pytest.raises(UnknownOutcome):
        target.apply(order(amount, currency))
    assert [target.apply(order(amount, currency)).outcome for _ in range(2)] == ["already", "already"]
    target.close()
    [row] = book.held["expected_payments"]
    direction = "debit" if amount.startswith("-") else "credit"
    assert (row["amount_lower_bound"], row["amount_upper_bound"], row["direction"]) == (minor, minor, direction)
    assert row["internal_account_id"] == account_of(currency)


def test_a_forecast_comes_back_with_the_reference_that_measures_leave_out(book: Book, reader: Reader) -> None:
    target = make_target(book.connection(), LANDSCAPE)
    receipt = target.apply(order("10", "USD"))
    target.close()
    reader.pull("expected_payments")
    assert receipt.reference is not None
    assert reader.held[receipt.reference]["reference"] == receipt.detail["reference"]

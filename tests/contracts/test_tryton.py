"""The Tryton adapter against a scripted server: the contract suite, errors by type, what is gone, what was paid, our note."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.canonical.causes import CAUSES
from sync.connections import ConfigError
from sync.errors import AuthError, ConflictError, DataError, PermanentError, QuotaError, SourceError, TransientError
from sync.ports import Cursor, Order, Page, Source
from sync.systems.tryton import make_source, make_target
from sync.systems.tryton.answers import Warned
from sync.systems.tryton.source import TrytonSource
from sync.systems.tryton.values import plain, typed
from sync.systems.tryton.wire import ASKED_HEADER
from tests.contracts.suite import NOW, AdapterCase, AdapterSuite
from tests.contracts.suite_server import Reply, reply_json
from tests.contracts.suite_store import Store, pull
from tests.contracts.test_garbage_pages import GARBAGE
from tests.contracts.tryton_server import LANDSCAPE, Database, day, decimal, invoice, stamp

HOUR = timedelta(hours=1)


class Invoices(AdapterCase):
    system = "tryton"
    stream, entity, value_column = "invoices", "invoice", "gross"
    tells_moments = False  # they are in UTC, and there is no form that says so

    def __init__(self) -> None:
        self.books = Database()

    def source(self) -> Source:
        return make_source(self.books.connection(), LANDSCAPE)

    def put(self, key: str, worth: int, at: datetime) -> None:
        number = int(key[1:])
        self.books.models["account.invoice"][number] = invoice(number, f"{worth}.00", at, type="out")

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.books.twice.add(int(key[1:]))

    def put_malformed(self, key: str, at: datetime) -> None:
        number = int(key[1:])
        self.books.models["account.invoice"][number] = invoice(number, "1.00", at, type="out", total_amount=decimal("n/a"))

    def repeat_page(self) -> None:
        self.books.repeating = True

    def heal(self) -> None:
        self.books.repeating = False

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {**(cursor or {}), "since": (self.now + timedelta(days=365)).isoformat()}

    def source_key(self, key: str) -> str:
        return key[1:]

    def close(self) -> None:
        self.books.server.close()


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRYTON_TEST_USER", "tidegate")
    monkeypatch.setenv("TRYTON_TEST_PASSWORD", "s3cret")


@pytest.fixture
def books() -> Iterator[Database]:
    database = Database()
    yield database
    database.server.close()


class TestInvoices(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Invoices() as case:
            yield case


def _put(books: Database, *records: dict[str, Any]) -> None:
    books.models["account.invoice"].update({record["id"]: {"type": "out", **record} for record in records})


def _read(books: Database, store: Store, cursor: Cursor | None = None, *, now: datetime = NOW, **options: Any) -> Cursor | None:
    with closing(make_source(books.connection(**options), LANDSCAPE)) as source:
        return pull(source, "invoices", cursor, store, now=now).cursor


def _pages(books: Database, cursor: Cursor | None = None, **options: Any) -> list[Page]:
    with closing(make_source(books.connection(**options), LANDSCAPE)) as source:
        return list(source.pull("invoices", cursor, now=NOW))


def test_values_have_one_form_each_way() -> None:
    """Money is its own digits, moments are UTC, related records lose their dot; what is no value of its kind is left to be refused."""
    at = datetime(2026, 5, 1, 9, 30, 0, 120, tzinfo=UTC)
    assert plain(typed({"a": Decimal("1E+3"), "b": at, "c": at.date(), "d": [None, "x", 3]})) == {
        "a": "1000", "b": "2026-05-01T09:30:00.000120Z", "c": "2026-05-01", "d": [None, "x", 3],
    }  # fmt: skip
    assert plain({"__class__": "timedelta", "seconds": 90.0}) == "90.0"
    assert plain({"__class__": "bytes", "base64": "AAE=\n"}) == "AAE=\n"
    assert plain({"party": 5, "party.": {"id": 5, "currency.": None}}) == {"party": {"id": 5, "currency": None}}
    for broken in (
        {"__class__": "date", "year": 2026, "month": 13, "day": 1},
        {"__class__": "Decimal", "decimal": 1.5},
        {"__class__": "moon"},
    ):
        assert plain(broken) == broken
    with pytest.raises(TypeError):
        typed(object())


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (["UserError", ['You are not allowed to access "Invoice".', "", None]], PermanentError, "not allowed to access"),
        (["UserWarning", ["credit_limit,5", "The limit is exceeded", ""]], Warned, "has to be confirmed"),
        (["ConcurrencyException", ["The record was changed"]], ConflictError, "changed since"),
        (["LoginException", ["sms", "Code", "char"]], AuthError, "more than a password"),
        (["RateLimitException", []], QuotaError, "too many"),
        (["'nofield'", ""], PermanentError, "'nofield'"),
        (["'res.user'", ""], PermanentError, "trytond -d"),
        (["server closed the connection unexpectedly", "Traceback ..."], TransientError, "broke off"),
        ("odd", TransientError, "odd"),
    ],
)  # fmt: skip
def test_a_200_is_not_success(books: Database, error: Any, kind: type[SourceError], words: str) -> None:
    """The name in `error` decides; a trace of the server's is not passed on, and no cursor moves."""
    books.odd["model.account.invoice.search_read"] = lambda _params: reply_json({"id": 1, "error": error})
    with pytest.raises(kind) as caught:
        _pages(books)
    assert words in caught.value.detail
    assert "Traceback" not in caught.value.detail
    assert caught.value.connection == "tryton-test"


@pytest.mark.parametrize(
    ("status", "kind", "words"), [(403, PermanentError, "may not call"), (404, PermanentError, "no database"), (500, TransientError, "500")]
)
def test_html_errors_are_read_by_their_status(books: Database, status: int, kind: type[SourceError], words: str) -> None:
    """Refusals of the server itself come as HTML pages."""
    books.odd["model.account.invoice.search_read"] = lambda _params: Reply(b"<html>no</html>", status, "text/html")
    with pytest.raises(kind, match=words):
        _pages(books)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id":1}', b'{"id":1,"result":null}', b'{"id":1,"result":{"a":1}}', b"nonsense", b""])
def test_an_answer_that_is_none_is_an_outage(books: Database, body: bytes) -> None:
    """Whatever it is, it is no page of records: nothing lands and nothing moves."""
    books.odd["model.account.invoice.search_read"] = lambda _params: Reply(body)
    with pytest.raises(TransientError):
        _pages(books)


def test_the_login_tells_of_a_server_without_a_database(books: Database) -> None:
    """The gotcha of a server started without -d is said in words, at the login already."""
    with closing(make_source(books.connection(), LANDSCAPE)) as source:
        books.odd["common.db.login"] = lambda _params: reply_json({"id": 1, "error": ["'res.user'", ""]})
        with pytest.raises(PermanentError, match="trytond -d"):
            list(source.pull("invoices", None, now=NOW))


def test_a_field_that_is_gone_stops_the_stream_in_words(books: Database) -> None:
    """A needed field that the model does not have is named; an optional one is left out of what is asked."""
    _put(books, invoice(1, "5.00", NOW - HOUR))
    hidden = {"sales", "accounting_date"}
    books.odd["model.account.invoice.fields_get"] = lambda p: reply_json({"id": 1, "result": {n: {} for n in p[0] if n not in hidden}})
    _read(books, Store())
    assert not {"sales.number", "accounting_date"} & set(books.calls("model.account.invoice.search_read")[-1][4])
    books.odd["model.account.invoice.fields_get"] = lambda p: reply_json({"id": 1, "result": {n: {} for n in p[0] if n != "amount_to_pay"}})
    with pytest.raises(PermanentError, match="no field amount_to_pay"):
        _pages(books)


def test_many_records_of_one_stamp_are_all_read(books: Database) -> None:
    """A mass change gives hundreds the same stamp: numbers tell them apart, whatever the size of a page."""
    _put(books, *(invoice(n, f"{n}.00", NOW - HOUR) for n in range(1, 12)))
    store = Store()
    _read(books, store)
    assert len(store.live("invoice")) == 11


def test_what_changed_behind_us_is_found_by_the_next_pull(books: Database) -> None:
    """A record that changes while later ones are read is not lost, though newer stamps were seen after it."""
    _put(books, *(invoice(n, f"{n}.00", NOW - 9 * HOUR + n * HOUR) for n in range(1, 8)))
    store = Store()
    with closing(make_source(books.connection(), LANDSCAPE)) as source:
        cursor = None
        for place, page in enumerate(source.pull("invoices", None, now=NOW)):
            store.take(source.map("invoices", page))
            cursor = page.cursor or cursor
            if place == 0:
                _put(books, invoice(1, "77.00", NOW + timedelta(minutes=1)), invoice(7, "7.00", NOW + timedelta(minutes=30)))
    _read(books, store, cursor, now=NOW + timedelta(minutes=40))
    assert store.live("invoice")["1"]["gross"] == 77


def test_a_settlement_that_leaves_the_invoice_untouched_is_asked_for(books: Database) -> None:
    """Money that is reconciled on a line changes the invoice even where no one has written the invoice itself."""
    _put(books, invoice(1, "5.00", NOW - HOUR))
    cursor = _read(books, Store())
    _read(books, Store(), cursor)
    alternatives = books.calls("model.account.invoice.search_read")[-1][0][3]
    assert alternatives[0] == "OR"
    assert {"write_date", "create_date", "move.lines.write_date", "additional_moves.lines.write_date", "payment_lines.write_date"} <= {
        clause[0] for clause in alternatives[1:]
    }


# --- what is gone --------------------------------------------------------------------------------------------------------------


def test_what_is_deleted_is_missed_by_the_sweep(books: Database) -> None:
    """Tryton deletes without a trace: a day later the missing number is gone, the others live, and it is said once."""
    _put(books, *(invoice(n, f"{n}.00", NOW - HOUR) for n in range(1, 6)))
    store = Store()
    cursor = _read(books, store)
    del books.models["account.invoice"][3]
    cursor = _read(books, store, cursor, now=NOW + HOUR)
    assert len(store.live("invoice")) == 5
    cursor = _read(books, store, cursor, now=NOW + 25 * HOUR)
    assert sorted(store.live("invoice")) == ["1", "2", "4", "5"]
    assert store.rows["invoice", "3"]["gross"] == 3
    changes = store.changes
    _read(books, store, cursor, now=NOW + 50 * HOUR)
    assert store.changes == changes


@pytest.mark.parametrize("result", [None, {"1": 1}, [1, "2"], [True]])
def test_a_list_that_is_none_deletes_nothing(books: Database, result: Any) -> None:
    """What does not stand in the answer of a sweep is deleted here, so the answer must be a list of numbers."""
    _put(books, *(invoice(n, f"{n}.00", NOW - HOUR) for n in range(1, 4)))
    store = Store()
    cursor = _read(books, store)
    books.odd["model.account.invoice.search"] = lambda _params: reply_json({"id": 1, "result": result})
    with pytest.raises(TransientError):
        _read(books, store, cursor, now=NOW + 25 * HOUR)
    assert len(store.live("invoice")) == 3


def test_a_sweep_speaks_of_its_own_stream_only(books: Database) -> None:
    """Money in the ledger and money that we collect are both payments: neither list says anything of the other's keys."""
    with closing(make_source(books.connection(), LANDSCAPE)) as source:
        for stream, after, upto in (("receipts", None, ":"), ("payments", "collection ", "collection :")):
            page = Page(b'{"id":1,"result":[7,12]}', "application/json", None, "sweep", {ASKED_HEADER: NOW.isoformat()})
            [word] = [word for word in source.map(stream, page).complete if word.entity == "payment"]
            assert (word.after, word.upto) == (after, upto)
            assert all((after or "") < key <= upto for key in word.present)
            assert not (after or "") < ("collection 7" if stream == "receipts" else "7") <= upto


def test_named_records_are_read_again(books: Database) -> None:
    """A hint's records as they are now; one that is gone comes as gone, one that is no number is passed over."""
    _put(books, *(invoice(n, f"{n}.00", NOW - HOUR) for n in range(1, 4)))
    store = Store()
    _read(books, store)
    _put(books, invoice(2, "22.00", NOW))
    del books.models["account.invoice"][3]
    with closing(make_source(books.connection(), LANDSCAPE)) as source:
        for page in source.reread("invoices", ["2", "3", "x"], now=NOW + HOUR):
            assert page.cursor is None
            store.take(source.map("invoices", page))
    assert {key: row["gross"] for key, row in store.live("invoice").items()} == {"1": 1, "2": 22}


# --- what was paid -------------------------------------------------------------------------------------------------------------


def _line(number: int, debit: str = "0", credit: str = "0", **more: Any) -> dict[str, Any]:
    fixed = {"id": number, "debit": decimal(debit), "credit": decimal(credit), "amount_second_currency": None, "second_currency.": None}
    return {
        **fixed,
        "reconciliation": None,
        "date": day("2026-05-10"),
        "maturity_date": day("2026-06-01"),
        "create_date": stamp(NOW),
        **more,
    }


def _applied(books: Database, record: dict[str, Any], store: Store | None = None) -> dict[str, tuple[Decimal, str, str | None]]:
    """Key -> (amount, day, payment) of the invoice's applications."""
    held = store or Store()
    _put(books, record)
    _read(books, held)
    assert held.rejects == []
    found = {key: (row["amount"], str(row["clearing_date"]), row["payment_key"]) for key, row in held.live("payment_application").items()}
    applied = sum((amount for amount, _, _ in found.values()), Decimal(0))
    row = held.live("invoice")["1"]
    if row["status"] != "cancelled":
        assert row["gross"] - applied == row["source_open"], "applications and the ERP's own open amount disagree"
    return found


def _reconciled(number: int, on: str) -> dict[str, Any]:
    return {"reconciliation.": {"id": number, "date": day(on)}}


def test_part_payments_and_the_rest_add_up(books: Database) -> None:
    """Assigned money counts at once; when the rest clears the invoice, the part keeps its day and the line takes the rest."""
    store = Store()
    part = _line(50, credit="40.00")
    assert _applied(books, invoice(1, "100.00", NOW - HOUR, amount_to_pay=decimal("60.00"), **{"payment_lines.": [part]}), store) == {
        "1/part": (Decimal(40), "2026-05-10", "50")
    }
    own = _line(1001, debit="100.00") | _reconciled(4, "2026-05-18")
    paid = invoice(
        1, "100.00", NOW, state="paid", amount_to_pay=decimal("0"),
        **{"lines_to_pay.": [own], "payment_lines.": [{**part, "reconciliation": 4}],
           "reconciliation_lines.": [{**part, "reconciliation": 4}, _line(51, credit="60.00", reconciliation=4)]},
    )  # fmt: skip
    assert _applied(books, paid, store) == {"1/part": (Decimal(40), "2026-05-10", "50"), "1/1001": (Decimal(60), "2026-05-18", "51")}
    assert _applied(books, invoice(1, "100.00", NOW + HOUR), store) == {}, "what was undone is gone"


def test_instalments_are_settled_one_by_one(books: Database) -> None:
    """Each line to pay is an application of its own day; the next unpaid one says when the invoice falls due."""
    first = _line(1001, debit="50.00", maturity_date=day("2026-06-01")) | _reconciled(4, "2026-05-30")
    second = _line(1002, debit="50.00", maturity_date=day("2026-07-01")) | {"reconciliation.": None}
    record = invoice(1, "100.00", NOW, amount_to_pay=decimal("50.00"), **{"lines_to_pay.": [second, first]})
    store = Store()
    assert _applied(books, record, store) == {"1/1001": (Decimal(50), "2026-05-30", None)}
    assert str(store.live("invoice")["1"]["due_date"]) == "2026-07-01"


def test_a_foreign_invoice_is_settled_in_its_own_currency(books: Database) -> None:
    """The books are in euro, the invoice in dollars: dollars count, and for assigned euros the ERP's own open amount."""
    dollar = {"id": 2, "code": "USD"}
    own = {**_line(1001, debit="80.00", amount_second_currency=decimal("100.00")), "second_currency.": dollar}
    half = {
        "lines_to_pay.": [own | {"reconciliation.": None}],
        "payment_lines.": [_line(50, credit="40.00")],
        "amount_to_pay": decimal("50.00"),
    }
    record = invoice(1, "100.00", NOW, **{"currency.": dollar, **half})
    assert _applied(books, record) == {"1/part": (Decimal(50), "2026-05-10", "50")}


def test_a_credit_note_is_settled_in_positive_amounts(books: Database) -> None:
    """Its total is negative there; here a credit note says so by its flag."""
    own = _line(1001, credit="30.00") | _reconciled(4, "2026-05-30")
    record = invoice(1, "-30.00", NOW, state="paid", amount_to_pay=decimal("0"), **{"lines_to_pay.": [own]})
    store = Store()
    assert _applied(books, record, store) == {"1/1001": (Decimal(30), "2026-05-30", None)}
    assert (store.live("invoice")["1"]["is_credit"], store.live("invoice")["1"]["status"]) == (True, "cleared")


@pytest.mark.parametrize(
    ("state", "left", "reconciled", "applied"),
    [
        ("posted", "100.00", None, []),
        ("posted", "60.00", None, [(40, "2026-05-02")]),
        ("paid", "0", day("2026-05-18"), [(100, "2026-05-18")]),
    ],
)
def test_an_invoice_that_shows_no_more_than_its_sums(
    books: Database, state: str, left: str, reconciled: Any, applied: list[tuple[int, str]]
) -> None:
    """Without its lines, as a bare search_read gives it, an invoice still says what was paid; the party may come with its fields."""
    plain_record = {
        "id": 1, "number": "R1", "state": state, "party.": {"id": 7, "code": "C7"}, "currency.": {"id": 1, "code": "EUR"},
        "invoice_date": day("2026-05-02"), "total_amount": decimal("100.00"), "amount_to_pay": decimal(left), "reconciled": reconciled,
        "payment_lines": [], "lines_to_pay": [6], "write_date": stamp(NOW - HOUR),
    }  # fmt: skip
    _put(books, plain_record)
    store = Store()
    _read(books, store)
    assert store.rejects == []
    assert store.live("invoice")["1"]["customer_key"] == "7"
    assert [(int(row["amount"]), str(row["clearing_date"])) for row in store.live("payment_application").values()] == applied


def test_a_user_who_may_not_ask_for_fields_may_yet_read(books: Database) -> None:
    """Where the fields can't be asked for all are taken to be there, and the reading itself tells."""
    _put(books, invoice(1, "5.00", NOW - HOUR))
    books.odd["model.account.invoice.fields_get"] = lambda _params: Reply(b"<html>Forbidden</html>", 403, "text/html")
    store = Store()
    _read(books, store)
    assert list(store.live("invoice")) == ["1"]


def test_a_cancelled_invoice_was_paid_by_nobody(books: Database) -> None:
    """Its lines are reconciled against its cancellation, which is no payment."""
    own = _line(1001, debit="30.00") | _reconciled(4, "2026-05-30")
    record = invoice(
        1,
        "30.00",
        NOW,
        state="cancelled",
        amount_to_pay=decimal("0"),
        **{"lines_to_pay.": [own], "cancel_move.": {"id": 9, "number": "77"}},
    )
    assert _applied(books, record) == {}


@pytest.mark.parametrize(
    "broken",
    [
        {"lines_to_pay.": [_line(1001, debit="NaN")]},
        {"lines_to_pay.": "none"},
        {"payment_lines.": [{"id": None}]},
        {"amount_to_pay": decimal("1,5")},
    ],
    ids=["amount", "list", "line", "open"],
)
def test_an_invoice_whose_settlement_can_not_be_read_is_refused_alone(books: Database, broken: dict[str, Any]) -> None:
    """It is quarantined with its cause; the neighbour lands."""
    _put(books, invoice(1, "5.00", NOW - HOUR, **broken), invoice(2, "6.00", NOW - HOUR))
    store = Store()
    _read(books, store)
    assert list(store.live("invoice")) == ["2"]
    assert {(reject["source_key"], reject["cause"]) for reject in store.rejects} == {("1", "bad_amount")}


def test_companies_are_told_apart_once_they_are_named(books: Database) -> None:
    """With companies named, one that stands under no legal entity is refused, not taken for the connection's own; without names all are."""
    other = {"company.": {"id": 2, "party.": {"id": 5, "name": "Hansa Drives Inc"}, "currency.": {"id": 1, "code": "EUR"}}}
    third = {"company.": {"id": 3, "party.": {"id": 6, "name": "Hansa Holding AG"}, "currency.": {"id": 1, "code": "EUR"}}}
    nameless = {"company.": {"id": 1, "party.": None, "currency.": {"id": 1, "code": "EUR"}}}
    given: tuple[dict[str, Any], ...] = ({}, other, third, nameless)
    _put(books, *(invoice(number, "10.00", NOW, **more) for number, more in enumerate(given, 1)))
    store = Store()
    _read(books, store, legal_entity_by_company={"Hansa Antriebe GmbH": "DE01", "Hansa Drives Inc": "US01"})
    held = {key: (row["legal_entity"], row["region"]) for key, row in store.live("invoice").items()}
    assert held == {"1": ("DE01", "EMEA"), "2": ("US01", "NA"), "4": ("DE01", "EMEA")}
    assert [(reject["cause"], reject["source_key"], reject["field"]) for reject in store.rejects] == [
        ("bad_value", "3", "company.party.name")
    ]
    alone = Store()
    _read(books, alone)
    assert {row["legal_entity"] for row in alone.live("invoice").values()} == {"DE01"}
    assert alone.rejects == []


def test_a_retyped_field_is_drift(books: Database) -> None:
    """A number that has become an object of another kind, or a field that is gone from the records, is schema drift."""
    _put(books, invoice(1, "5.00", NOW - HOUR) | {"number": {"value": "R1"}}, invoice(2, "6.00", NOW - HOUR))
    del books.models["account.invoice"][2]["amount_to_pay"]
    store = Store()
    _read(books, store)
    assert {(reject["cause"], reject["field"]) for reject in store.rejects} == {
        ("schema_drift", "number"),
        ("schema_drift", "amount_to_pay"),
    }


# --- our note ------------------------------------------------------------------------------------------------------------------


class Notes:
    """Parties and notes behind the scripted server."""

    def __init__(self, books: Database) -> None:
        self.notes: list[dict[str, Any]] = []
        self.parties = [{"id": 7, "code": "C7"}]
        self.lose_answer = False
        books.odd |= {
            "model.party.party.search_read": lambda p: reply_json(
                {"id": 1, "result": [x for x in self.parties if x["code"] == p[0][0][2]]}
            ),
            "model.ir.note.search_read": lambda _p: reply_json({"id": 1, "result": self.notes[-1:]}),
            "model.ir.note.create": self.create,
            "model.ir.note.write": self.write,
        }

    def create(self, params: list[Any]) -> Reply:
        self.notes.append({"id": len(self.notes) + 1, "_timestamp": "1.5", **params[0][0]})
        return Reply(raw=lambda _write: None) if self.lose_answer else reply_json({"id": 1, "result": [len(self.notes)]})

    def write(self, params: list[Any]) -> Reply:
        ids, values, context = params
        if context["_timestamp"] != {f"ir.note,{ids[0]}": self.notes[-1]["_timestamp"]}:
            return reply_json({"id": 1, "error": ["ConcurrencyException", ["changed"]]})
        self.notes[-1] |= values
        return reply_json({"id": 1, "result": None})


def _order(version: int, status: str = "reminder", number: str = "C7", overdue: str = "1234.5") -> Order:
    payload = {
        "customer_number": number,
        "status": status,
        "overdue_amount": overdue,
        "currency": "EUR",
        "as_of": NOW.isoformat(),
        "version": version,
    }
    return Order(f"collections:tryton-test:{number}:{version}", "update_collections", number, payload)


def test_our_word_is_one_note_that_moves_on(books: Database) -> None:
    """First made, then written in place; the same word again is already there, an older one never overwrites."""
    notes = Notes(books)
    with closing(make_target(books.connection(), LANDSCAPE)) as target:
        assert target.read(_order(3)).outcome == "absent"
        assert target.apply(_order(3)).outcome == "applied"
        assert target.apply(_order(3)).outcome == "already"
        assert target.apply(_order(5, "escalated")).outcome == "applied"
        assert target.apply(_order(4)).outcome == "differs"
    assert len(notes.notes) == 1
    assert "escalated" in notes.notes[0]["message"]
    assert "1,234.50 EUR" in notes.notes[0]["message"]


def test_an_answer_that_is_lost_is_looked_up_before_any_retry(books: Database) -> None:
    """The note was made and the answer was not heard: unknown, then already; never two notes."""
    notes = Notes(books)
    notes.lose_answer = True
    with closing(make_target(books.connection(), LANDSCAPE)) as target:
        with pytest.raises(SourceError) as caught:
            target.apply(_order(3))
        assert caught.value.kind == "unknown"
        assert target.read(_order(3)).outcome == "already"
        assert target.apply(_order(3)).outcome == "already"
    assert len(notes.notes) == 1


def test_nobody_is_created_and_no_one_is_guessed(books: Database) -> None:
    """A number that no party or more than one has is refused in words, and so is a note that somebody changed meanwhile."""
    notes = Notes(books)
    with closing(make_target(books.connection(), LANDSCAPE)) as target:
        with pytest.raises(PermanentError, match="no party has the code C9"):
            target.apply(_order(3, number="C9"))
        with pytest.raises(PermanentError, match="is no number"):
            target.apply(_order(3, overdue="NaN"))
        notes.parties.append({"id": 8, "code": "C7"})
        with pytest.raises(PermanentError, match="several parties"):
            target.apply(_order(3))
        notes.parties.pop()
        target.apply(_order(3))
        books.odd["model.ir.note.write"] = lambda _p: reply_json({"id": 1, "error": ["ConcurrencyException", ["changed"]]})
        with pytest.raises(ConflictError):
            target.apply(_order(4))


def test_the_probe_says_what_is_missing(books: Database) -> None:
    """A user without a company, a module that is not installed, a field that is hidden: each in words, and the rest is tried."""
    books.odd["model.res.user.get_preferences"] = lambda _p: reply_json({"id": 1, "result": {}})
    books.odd["model.ir.model.access.get_access"] = lambda _p: reply_json(
        {"id": 1, "result": {"ir.note": {"read": True, "create": False, "write": True}}}
    )
    source = make_source(books.connection(), LANDSCAPE)
    assert isinstance(source, TrytonSource)
    with closing(source):
        found = {finding.what: finding for finding in source.probe(now=NOW)}
    assert "no company" in found["company"].words
    assert "may not create notes" in found["notes"].words
    assert "'sale.sale'" in found["sales fields"].words
    assert found["invoices first page"].ok
    assert found["clock"].ok


def test_a_wrong_option_is_named(books: Database) -> None:
    """ConfigError says which option of which connection."""
    with pytest.raises(ConfigError, match=r"tryton-test, options of tryton: page_size"):
        make_source(books.connection(page_size=0), LANDSCAPE)


@pytest.mark.parametrize("body", list(GARBAGE.values()), ids=list(GARBAGE))
def test_garbage_is_refused_or_rejected(books: Database, body: bytes) -> None:
    """Any bytes as an answer, and anything at all as records of one: words and a known cause, or rejects; on a sweep nothing is gone."""
    wrapped = b'{"id":1,"result":[' + (b'7,null,{},[],"x",NaN,' if body else b"") + b'{"id":1,"lines_to_pay.":7,"__class__":"date"}]}'
    with closing(make_source(books.connection(), LANDSCAPE)) as source:
        for stream in source.streams():
            for answer in (body, wrapped):
                for headers in ({"x-tidegate-fields": "number,party.code"}, {}, {ASKED_HEADER: NOW.isoformat()}):
                    try:
                        found = source.map(stream.name, Page(answer, "application/json", None, "x", headers))
                    except DataError as refusal:
                        assert refusal.cause in CAUSES
                        continue
                    assert all(frame.is_empty() for frame in found.frames.values()), "garbage was believed"
                    assert set(found.rejects["cause"].to_list()) <= CAUSES.keys()
                    assert not (found.complete and answer is not body)

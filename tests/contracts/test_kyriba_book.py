"""Kyriba against a tenant that was written from its contract alone: both styles of hosts, tokens that end between two pages, offsets that
shift while they are read. What was read is compared with the tenant's own book.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest

from sync.connections import Connection
from sync.errors import PermanentError, QuotaError, UnknownOutcome
from sync.ports import Cursor, Order, Page, Pending
from sync.systems.kyriba import make_source, make_target
from sync.systems.kyriba.columns import double_amount
from sync.systems.kyriba.source import KyribaSource
from tests.contracts.kyriba_tenant import LANDSCAPE, camt053
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
CODES = {"ACC EUR/1": ("DE01", "EUR"), "ACC-USD": ("US01", "USD"), "ACC-2": ("DE01", "EUR")}


class Book:
    """A tenant's books. `uses`: after so many questions a token is no longer good; 0 for ever."""

    def __init__(self, *, one_host: bool) -> None:
        self.server = ScriptedServer(self.answer)
        root = self.server.url
        self.paths = ("/gateway/api/v1/", "/gateway/oauth/token") if one_host else ("/api/v1/", "/oauth/token")
        self.options = {"base_url": root + self.paths[0].removesuffix("/v1/"), "auth_url": root + self.paths[1]}
        self.uses = 0
        self.tokens = self.used = self.logins = 0
        self.cash: dict[tuple[str, date], str] = {}
        self.bank: dict[tuple[str, date], str] = {}
        self.flows: list[dict[str, Any]] = []
        self.transfers: list[dict[str, Any]] = []
        self.moving: dict[str, Any] | None = None
        self.silent = Reply(b"", 404)
        self.limited: Reply | None = None
        self.tasks: dict[str, list[str]] = {}
        self.files: dict[str, Reply] = {}

    def connection(self, **options: Any) -> Connection:
        return Connection(
            name="kyriba-book", system="kyriba", region="EMEA", allow_private_addresses=True,
            options={**self.options, "page_size": 3, "balance_history_days": 70, **options},
            secrets={"client_id": "env:KYRIBA_BOOK_ID", "client_secret": "env:KYRIBA_BOOK_SECRET"},
        )  # fmt: skip

    def answer(self, asked: Asked) -> Reply:
        if asked.path == self.paths[1]:
            assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"id:secret"
            assert asked.form()["grant_type"] == "client_credentials"
            if not self.tokens or (self.uses and self.used >= self.uses):
                self.tokens, self.used = self.tokens + 1, 0
            self.logins += 1
            return reply_json({"access_token": f"t{self.tokens}", "token_type": "bearer", "expires_in": 600, "kapp_username": "u"})
        if self.limited is not None:
            return self.limited
        if asked.headers.get("authorization") != f"Bearer t{self.tokens}" or (self.uses and self.used >= self.uses):
            return reply_json({"error": "invalid_token"}, 401)
        self.used += 1
        return self._answer(asked, asked.path.removeprefix(self.paths[0]))

    def _answer(self, asked: Asked, path: str) -> Reply:
        if path == "accounts":
            return self._page(asked, [_account(code) for code in CODES])
        if path == "cash-flows" and asked.method == "POST":
            sent = asked.json()
            self.flows.append({**sent, "uuid": f"posted-{len(self.flows)}", "date": {**sent["date"], "updateDateTime": _stamp(NOW)}})
            return Reply(b"", 201, raw=lambda _write: None)
        if path == "cash-flows":
            return self._flows(asked)
        if path == "payment/transfers/status":
            return self._page(asked, self.transfers)
        if path.startswith("process-templates/"):
            return self._task(path.split("/")[1:])
        what, _, name = path.partition("/accounts/")
        given = unquote(name.removesuffix("/balances"))
        code = next(code for code in CODES if given in (code, _account(code)["uuid"]))
        return self._cash(code, asked) if what == "cash-balances" else self._bank(code, asked)

    def _cash(self, code: str, asked: Asked) -> Reply:
        first, last = (date.fromisoformat(asked.query[name]) for name in ("startDate", "endDate"))
        if (last - first).days > 30:
            return reply_json({"error": {"code": "BadRequest", "message": "at most 31 days", "target": "endDate", "details": []}}, 400)
        rows = [
            f'{{"account":{{"code":{json.dumps(code)}}},"date":"{day}","amount":{{"value":{amount}}},"currencyCode":"{CODES[code][1]}"}}'
            for (held, day), amount in self.cash.items()
            if held == code and first <= day <= last
        ]
        return Reply(f'{{"cashBalance":[{",".join(rows)}]}}'.encode())

    def _bank(self, code: str, asked: Asked) -> Reply:
        amount = self.bank.get((code, date.fromisoformat(asked.query["date"])))
        if amount is None:
            return self.silent
        told = f'"balanceDate":"{asked.query["date"]}","amount":{amount},"currencyCode":"{CODES[code][1]}"'
        return Reply(f'{{"account":{{"code":{json.dumps(code)}}},"bankBalance":{{{told}}}}}'.encode())

    def _flows(self, asked: Asked) -> Reply:
        rows = list(self.flows)
        for term in filter(None, asked.query.get("filter", "").split(";")):
            name, _, value = term.partition("=ge=")
            if name == "updateDateTime":
                rows = [row for row in rows if row["date"]["updateDateTime"] >= value.strip("\"'")]
            elif "==" in term:
                rows = [row for row in rows if row[term.partition("==")[0]] == term.partition("==")[2].strip("\"'")]
        given = self._page(asked, sorted(rows, key=lambda row: row["date"]["updateDateTime"]))
        if self.moving is not None:
            moved, self.moving = self.moving, None
            moved["date"]["updateDateTime"] = _stamp(NOW)
        return given

    def _page(self, asked: Asked, rows: list[dict[str, Any]]) -> Reply:
        limit, offset = int(asked.query.get("page.limit", "100")), int(asked.query.get("page.offset", "0"))
        page = rows[offset : offset + limit]
        links = {"next": "further"} if offset + limit < len(rows) else {}
        told = {"numberOfTotalResults": len(rows), "pageLimit": limit, "pageOffset": offset, "pageResults": len(page), "links": links}
        return reply_json({"metadata": told, "results": page})

    def _task(self, path: list[str]) -> Reply:
        name, what = path
        if what == "run":
            return reply_json([{"taskId": f"task-{name}"}])
        if what == "files":
            return self.files[name]
        if what == "details":
            return reply_json({"logs": [{"message": "the bank's file was empty"}]})
        template = name.removeprefix("task-")
        states = self.tasks[template]
        if not states:
            return reply_json({"error": {"code": "NotFound", "message": "no such task"}}, 404)
        return reply_json({"status": states.pop(0)})


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _account(code: str) -> dict[str, Any]:
    company, currency = CODES[code]
    return {"uuid": f"uuid-{code[-3:]}", "code": code, "company": {"code": company}, "currency": {"code": currency}}


def flow(number: int, at: datetime, amount: Any, member: str = "value") -> dict[str, Any]:
    return {
        "uuid": f"f{number}", "reference": f"R{number}", "status": ("ESTIMATED", "CONFIRMED", "ACTUAL")[number % 3],
        "account": {"code": "ACC-USD"}, "flowAmount": {member: amount, "currency": {"code": "USD"}},
        "date": {"valueDate": "2026-06-01", "updateDateTime": _stamp(at), "creationDateTime": _stamp(at)},
    }  # fmt: skip


@pytest.fixture(params=[True, False], ids=["one host", "two hosts"])
def book(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    monkeypatch.setenv("KYRIBA_BOOK_ID", "id")
    monkeypatch.setenv("KYRIBA_BOOK_SECRET", "secret")
    made = Book(one_host=request.param)
    yield made
    made.server.close()


class Reader:
    """What a house would hold after its pulls, and what was refused."""

    def __init__(self, source: KyribaSource) -> None:
        self.source = source
        self.cursors: dict[str, Cursor] = {}
        self.held: dict[str, dict[str, Any]] = {}
        self.refused: list[dict[str, Any]] = []
        self.complete = False

    def pull(self, stream: str, now: datetime = NOW) -> list[Page | Pending]:
        steps = list(self.source.pull(stream, self.cursors.get(stream), now=now))
        for step in steps:
            if isinstance(step, Page):
                mapped = self.source.map(stream, step)
                self.refused += mapped.rejects.to_dicts()
                self.held |= {row["source_key"]: row for frame in mapped.frames.values() for row in frame.to_dicts()}
                self.complete = step.complete_until is not None
            self.cursors[stream] = step.cursor or self.cursors.get(stream, {})
        return steps


@pytest.fixture
def reader(book: Book) -> Iterator[Reader]:
    source = make_source(book.connection(), LANDSCAPE)
    yield Reader(source)
    source.close()


def fill(book: Book) -> None:
    for n, code in enumerate(CODES):
        for back in range(0, 70, 9):
            book.cash[code, NOW.date() - timedelta(days=back)] = f"{1000 * n + back}.5"


def test_cash_balances_of_every_window_come_whole_though_the_token_ends_on_the_way(book: Book, reader: Reader) -> None:
    fill(book)
    book.uses = 4
    for _ in range(2):
        reader.pull("balances")
    assert (reader.refused, reader.complete) == ([], True)
    assert book.logins > 2
    assert {(r["account"], r["as_of_date"]): r["amount"] for r in reader.held.values()} == {k: Decimal(v) for k, v in book.cash.items()}
    assert {r["legal_entity"] for r in reader.held.values()} == {"DE01", "US01"}


@pytest.mark.parametrize("silent", [Reply(b"", 404, ""), reply_json({}, 404), Reply(b"<html>none</html>", 404, "text/html")])
def test_a_bare_404_says_that_a_bank_has_told_nothing(book: Book, reader: Reader, silent: Reply) -> None:
    book.silent = silent
    days = [NOW.date() - timedelta(days=back) for back in (1, 3)]
    book.bank = {("ACC-USD", days[0]): "7.25", ("ACC EUR/1", days[1]): "-12345678.9"}
    for _ in range(2):
        reader.pull("bank_balances")
    assert (reader.refused, reader.complete) == ([], True)
    assert {(r["account"], r["as_of_date"]): r["amount"] for r in reader.held.values()} == {k: Decimal(v) for k, v in book.bank.items()}


def test_no_bank_that_has_told_anything_is_no_trouble(book: Book, reader: Reader) -> None:
    reader.pull("bank_balances")
    assert (reader.held, reader.refused, reader.complete) == ({}, [], True)


def test_an_api_that_is_not_there_is_an_error(book: Book, reader: Reader) -> None:
    book.silent = Reply(b"<html>no such page</html>", 404, "text/html")
    with pytest.raises(PermanentError):
        reader.pull("bank_balances")


def test_cash_flows_that_move_while_they_are_read_come_whole(book: Book, reader: Reader) -> None:
    book.flows = [flow(n, NOW - timedelta(hours=30 - n), n + 0.5, "amount" if n % 2 else "value") for n in range(11)]
    book.moving, book.uses = book.flows[0], 3
    reader.pull("cash_flows")
    assert {key: row["amount"] for key, row in reader.held.items()} == {f"f{n}": Decimal(n) + Decimal("0.5") for n in range(11)}
    later = NOW + timedelta(hours=1)
    book.flows[4] |= {"flowAmount": {"value": -3, "currency": {"code": "USD"}}}
    book.flows[4]["date"]["updateDateTime"] = _stamp(later)
    reader.pull("cash_flows", later)
    assert (reader.held["f4"]["amount"], reader.refused) == (-3, [])


def test_transfers_come_whole(book: Book, reader: Reader) -> None:
    book.transfers = [
        {"uuid": f"p{n}", "reference": f"P{n}", "status": "Transmitted", "amount": {"value": n + 0.25, "currency": {"code": "EUR"}}} for n in range(7)
    ]  # fmt: skip
    for _ in range(2):
        reader.pull("transfers")
    assert reader.refused == []
    assert {key: (row["amount"], row["status"]) for key, row in reader.held.items()} == {
        f"p{n}": (Decimal(n) + Decimal("0.25"), "executed") for n in range(7)
    }


def test_a_daily_limit_is_obeyed(book: Book, reader: Reader) -> None:
    book.limited = reply_json({"error": {"code": "429", "message": "Daily limit of calls exceeded"}}, 429)
    with pytest.raises(QuotaError) as told:
        reader.pull("accounts")
    assert told.value.retry_at is not None


def test_statements_of_several_templates_of_which_one_fails_and_one_is_lost(book: Book) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("one.xml", camt053("ACC-2", "10.00", NOW))
        packed.writestr("two.xml", camt053("ACC-USD", "20.00", NOW))
    book.tasks = {"ZIP": ["Pending", "In progress", "Complete"], "BAD": ["Error"], "LOST": [], "ONE": ["Warning"]}
    book.files = {"ZIP": Reply(archive.getvalue(), content_type="application/zip"),
                  "ONE": Reply(camt053("ACC EUR/1", "30.00", NOW), content_type="application/xml")}  # fmt: skip
    source = make_source(book.connection(statement_templates=list(book.tasks)), LANDSCAPE)
    cursor: Cursor | None = None
    pages: list[Page] = []
    for _ in range(12):
        steps = list(source.pull("statements", cursor, now=NOW))
        pages += [step for step in steps if isinstance(step, Page)]
        cursor = [step.cursor for step in steps if step.cursor is not None][-1]
        if "task" not in cursor:
            break
    source.close()
    files = [page for page in pages if b"<Document" in page.body]
    assert [f"{amount}.00".encode() in page.body for page, amount in zip(files, (10, 20, 30), strict=True)] == [True, True, True]
    assert all(page.complete_until is None for page in pages)  # two of the templates went wrong


def test_a_forecast_whose_answer_was_dropped_is_posted_once(book: Book) -> None:
    target = make_target(book.connection(), LANDSCAPE)
    payload = {"amount": "-1234.56", "currency": "USD", "expected_date": "2026-06-01", "description": "Tax", "company": "US01"}
    order = Order("forecast:x", "publish_forecast", "x", payload)
    with pytest.raises(UnknownOutcome):
        target.apply(order)
    book.flows[0]["flowAmount"] = {**book.flows[0]["flowAmount"], "value": json.loads("-1234.5599999999999")}
    assert [target.apply(replace(order, attempt=n)).outcome for n in (2, 3)] == ["already", "already"]
    target.close()
    assert len(book.flows) == 1


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1234.56", "1234.56"), ("1234.5599999999999", "1234.56"), ("-0.10000000000000001", "-0.1"), ("99999999999.990005", "99999999999.99"),
        ("1234.5599999999999454303182289004325866699", "1234.56"), ("1234.5600000000002", None), ("1234.5649999", None),
        ("0.30000000000000004", None), ("123456789012.34001", None), ("0." + "0" * 400 + "1", None), ("NaN", None), (None, None),
    ],
)  # fmt: skip
def test_a_doubles_noise_is_taken_back_only_where_it_is_proven(text: str | None, amount: str | None) -> None:
    found = pl.DataFrame({"a": [text]}, schema={"a": pl.String}).select(double_amount("a")).item()
    assert found == (None if amount is None else Decimal(amount))


def test_noise_that_is_not_proven_is_quarantined_with_its_digits(book: Book, reader: Reader) -> None:
    days = [NOW.date() - timedelta(days=back) for back in (1, 2, 3)]
    book.cash = dict(zip([("ACC-USD", day) for day in days], ("1234.5599999999999", "1234.5600000000002", "1E+2"), strict=True))
    reader.pull("balances")
    assert sorted(row["amount"] for row in reader.held.values()) == [Decimal(100), Decimal("1234.56")]
    [refused] = reader.refused
    assert refused["cause"] == "bad_amount"
    assert "1234.5600000000002" in refused["evidence"]

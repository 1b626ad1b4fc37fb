"""A scripted Tryton on a real socket: one login, a context, and records that are searched by a domain as the real server reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sync.connections import Connection, Landscape, LegalEntity
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

LANDSCAPE = Landscape(
    legal_entities=(
        LegalEntity(code="DE01", name="Hansa Antriebe GmbH", region="EMEA", currency="EUR"),
        LegalEntity(code="US01", name="Hansa Drives Inc", region="NA", currency="USD"),
    )
)
Record = dict[str, Any]


def decimal(text: str) -> Record:
    return {"__class__": "Decimal", "decimal": text}


def day(iso: str) -> Record:
    year, month, number = map(int, iso.split("-"))
    return {"__class__": "date", "year": year, "month": month, "day": number}


def stamp(at: datetime) -> Record:
    clock = {"hour": at.hour, "minute": at.minute, "second": at.second, "microsecond": at.microsecond}
    return {"__class__": "datetime", "year": at.year, "month": at.month, "day": at.day, **clock}


def invoice(number: int, gross: str, at: datetime, **more: Any) -> Record:
    """A posted invoice with one open line, made and written at `at`."""
    line = {
        "id": 1000 + number, "debit": decimal(gross), "credit": decimal("0"), "amount_second_currency": None, "second_currency.": None,
        "maturity_date": day("2026-06-01"), "reconciliation.": None, "write_date": None, "create_date": stamp(at),
    }  # fmt: skip
    return {
        "id": number, "number": f"R{number:05}", "state": "posted", "party": 7, "currency.": {"id": 1, "code": "EUR"},
        "company.": {"id": 1, "party.": {"id": 1, "name": "Hansa Antriebe GmbH"}, "currency.": {"id": 1, "code": "EUR"}},
        "invoice_date": day("2026-05-02"), "accounting_date": None, "total_amount": decimal(gross), "tax_amount": decimal("0.00"),
        "amount_to_pay": decimal(gross), "lines_to_pay.": [line], "payment_lines.": [], "reconciliation_lines.": [],
        "move.": {"id": 9, "number": "41"}, "cancel_move.": None, "customer_payment_reference": None, "invoice_address.": None,
        "sales.": [{"id": 3, "number": "S3"}], "create_date": stamp(at), "write_date": stamp(at), **more,
    }  # fmt: skip


class Database:
    """One database of the server. `models`: model -> its records by number; `odd`: method -> an answer of the test's own."""

    def __init__(self) -> None:
        self.models: dict[str, dict[int, Record]] = {"account.invoice": {}}
        self.twice: set[int] = set()
        self.odd: dict[str, Callable[[list[Any]], Reply]] = {}
        self.repeating = False
        self.repeated: Reply | None = None
        self.logins = 0
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        """A connection to it, with pages of three."""
        given = {"base_url": self.server.url, "database": "books", "page_size": 3, **options}
        return Connection(
            name="tryton-test", system="tryton", region="EMEA", legal_entities=("DE01",), options=given,
            secrets={"user": "env:TRYTON_TEST_USER", "password": "env:TRYTON_TEST_PASSWORD"}, allow_private_addresses=True,
        )  # fmt: skip

    def calls(self, method: str) -> list[list[Any]]:
        """The parameters of every call of a method."""
        bodies = [asked.json() for asked in self.server.asked if asked.path == "/books/rpc/"]
        return [body["params"] for body in bodies if body["method"] == method]

    def answer(self, asked: Asked) -> Reply:
        if asked.path != "/books/rpc/":
            return Reply(b"<html>Not Found</html>", 404, "text/html")
        call = asked.json()
        method, params = call["method"], call["params"]
        if method in self.odd:
            return self.odd[method](params)
        if method == "common.db.login":
            self.logins += 1
            return reply_json({"id": call["id"], "result": [1, f"token{self.logins}", None]})
        if method == "model.res.user.get_preferences":
            return reply_json({"id": call["id"], "result": {"company": 1, "language": "en"}})
        _, _, rest = method.partition(".")
        model, _, verb = rest.rpartition(".")
        if model not in self.models:
            return reply_json({"id": call["id"], "error": [f"'{model}'", ""]})
        return self._search(call["id"], model, verb, params)

    def _search(self, number: int, model: str, verb: str, params: list[Any]) -> Reply:
        if verb == "fields_get":
            return reply_json({"id": number, "result": {name: {"type": "char"} for name in params[0]}})
        if self.repeating and self.repeated is not None:
            return self.repeated
        found = [record for key, record in sorted(self.models[model].items()) if fits(record, params[0])]
        if verb == "search":
            return reply_json({"id": number, "result": [record["id"] for record in found]})
        assert verb == "search_read"
        page = found[params[1] :][: params[2]]
        page += [record for record in page if record["id"] in self.twice]
        self.repeated = Reply(json.dumps({"id": number, "result": page}).encode())
        return self.repeated


def fits(record: Record, domain: list[Any]) -> bool:
    """Whether a record answers a domain; fields that it does not have are nothing."""
    if domain and domain[0] in ("OR", "AND"):
        held = [fits(record, [clause] if isinstance(clause[0], str) else clause) for clause in domain[1:]]
        return any(held) if domain[0] == "OR" else all(held)
    return all(_clause(record, clause) for clause in domain)


def _clause(record: Record, clause: list[Any]) -> bool:
    if clause[0] in ("OR", "AND") or not isinstance(clause[0], str):
        return fits(record, clause)
    name, operator, value = clause
    held = _moment(record.get(name, "unheard of"))
    value = _moment(value)
    if held == "unheard of":
        return "_date" not in name
    if operator in (">", ">="):
        return held is not None and (held > value if operator == ">" else held >= value)
    if operator == "in":
        return held in value
    return bool(held == value) if operator == "=" else bool(held != value)


def _moment(value: Any) -> Any:
    if isinstance(value, dict) and value.get("__class__") == "datetime":
        year, month, number, hour, minute, second, micro = (
            int(value[part]) for part in ("year", "month", "day", "hour", "minute", "second", "microsecond")
        )
        return datetime(year, month, number, hour, minute, second, micro, tzinfo=UTC)
    if isinstance(value, dict) and value.get("__class__") == "Decimal":
        text = value["decimal"]
        return Decimal(text if text.replace(".", "").isdigit() else "Infinity")
    return value

"""A strict org, written from the vendor's contract alone: it reads SOQL, knows its fields, binds locators to sessions, sends odd batches."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sync.connections import Connection
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

BASE = {"Id": "id", "CreatedDate": "datetime", "LastModifiedDate": "datetime", "SystemModstamp": "datetime", "IsDeleted": "boolean"}
STANDARD: dict[str, dict[str, str]] = {
    "Account": BASE | {"Name": "string", "AccountNumber": "string", "ParentId": "reference", "MasterRecordId": "reference", "BillingCountry": "string"},
    "Opportunity": BASE | {"Name": "string", "AccountId": "reference", "StageName": "picklist", "Amount": "currency", "CloseDate": "date",
                           "IsClosed": "boolean", "IsWon": "boolean", "Probability": "percent"},
    "Contract": BASE | {"AccountId": "reference", "ContractNumber": "string", "Status": "picklist", "StatusCode": "picklist", "StartDate": "date",
                        "EndDate": "date", "ContractTerm": "int", "ActivatedDate": "datetime"},
    "Organization": {"Id": "id", "Name": "string", "IsSandbox": "boolean", "DefaultCurrencyIsoCode": "picklist"},
}  # fmt: skip
"""What an org has that nobody has added anything to: no quotes, one currency, no custom fields."""

_NAMES = itertools.count()
_AMONG = re.compile(r"^(\w+) IN \((.*)\)$")
_CONDITION = re.compile(r"\s*(?:AND\s+|OR\s+)?(\()?\s*(\w+)\s*(>=|<=|=|<|>)\s*('(?:[^'\\]|\\.)*'|[^\s()]+)\s*(\))?")
_QUERY = re.compile(
    r"^SELECT (?P<fields>.+?) FROM (?P<object>\w+)(?: WHERE (?P<where>.+?))?(?: ORDER BY (?P<order>[\w, ]+?))?(?: LIMIT (?P<limit>\d+))?$"
)
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)$")


class Refused(Exception):
    """The org's list of errors, with its status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = reply_json([{"message": message, "errorCode": code}], status)


@dataclass
class StrictOrg:
    """`records` by object; `batches`: how many records each page holds, over and over; `calls_of_a_session`: then its token is dead."""

    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=lambda: {name: dict(fields) for name, fields in STANDARD.items()})
    batches: Sequence[int] = (2000,)
    calls_of_a_session: int | None = None
    said: dict[tuple[str, str], Reply] = field(default_factory=dict)
    """(method, end of the path) -> what is answered instead."""

    def __post_init__(self) -> None:
        self.server = ScriptedServer(self.answer)
        self.name = f"strict-{next(_NAMES)}"
        self.sessions = 0
        self.calls = 0
        self._pages = 0
        self._locators: dict[str, tuple[int, list[dict[str, Any]], int]] = {}
        self._numbers = itertools.count(7001)

    def connection(self, **options: Any) -> Connection:
        """The org as a connection of its own."""
        return Connection(
            name=self.name, system="salesforce", region="EMEA", allow_private_addresses=True,
            options={"base_url": self.server.url, **options}, secrets={"client_id": "env:SF_TEST_ID", "client_secret": "env:SF_TEST_SECRET"},
        )  # fmt: skip

    def put(self, name: str, number: int, at: datetime, **values: Any) -> str:
        """The org holds a record; its id."""
        key = f"{ {'Account': '001', 'Opportunity': '006', 'Contract': '800'}[name] }5g0000000{number:03d}AAA"
        stamp = f"{at:%Y-%m-%dT%H:%M:%S}.000+0000"
        base = {"Id": key, "CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp, "IsDeleted": False}
        self.records.setdefault(name, []).append({**dict.fromkeys(self.fields[name]), **base, **values})
        return key

    def asked(self, end: str) -> list[Asked]:
        """The calls to a path that ends so."""
        return [asked for asked in self.server.asked if asked.path.endswith(end)]

    def answer(self, asked: Asked) -> Reply:
        """One answer."""
        for (method, end), reply in self.said.items():
            if asked.method == method and asked.path.endswith(end):
                return reply
        if asked.path == "/services/oauth2/token":
            self.sessions, self.calls = self.sessions + 1, 0
            return reply_json({"access_token": f"00D!{self.sessions}", "scope": "api", "instance_url": self.server.url, "token_type": "Bearer",
                               "id": f"{self.server.url}/id/00D/005", "issued_at": "1747742400000", "signature": "s"})  # fmt: skip
        if asked.headers.get("authorization") != f"Bearer 00D!{self.sessions}" or self.calls == self.calls_of_a_session:
            return reply_json([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
        self.calls += 1
        try:
            return self._data(asked)
        except Refused as refused:
            return refused.reply

    def _data(self, asked: Asked) -> Reply:
        if asked.path == "/services/data":
            return reply_json([{"label": f"Release {n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in range(31, 68)])
        _, _, path = asked.path.partition("/services/data/v67.0/")
        kind, _, rest = path.partition("/")
        if kind in ("query", "queryAll") and not rest:
            return self._page(self._found(asked.query["q"], everything=kind == "queryAll"), 0)
        if kind in ("query", "queryAll"):
            session, rows, at = self._locators.get(rest, (self.sessions, [], -1))
            if at < 0 or session != self.sessions:
                raise Refused(400 if at < 0 else 401, "INVALID_QUERY_LOCATOR" if at < 0 else "INVALID_SESSION_ID", "invalid query locator")
            return self._page(rows, at)
        if kind == "sobjects" and rest.endswith("/describe"):
            name = rest.partition("/")[0]
            if name not in self.fields:
                raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
            return reply_json({"name": name, "fields": [{"name": each, "type": kind} for each, kind in self.fields[name].items()]})
        raise Refused(404, "NOT_FOUND", "The requested resource does not exist")

    def _page(self, rows: list[dict[str, Any]], at: int) -> Reply:
        size = self.batches[self._pages % len(self.batches)]
        self._pages += 1
        page: dict[str, Any] = {"totalSize": len(rows), "done": at + size >= len(rows), "records": rows[at : at + size]}
        if not page["done"]:
            locator = f"0r8xx{next(self._numbers)}VASQ-{at + size}"
            self._locators[locator] = (self.sessions, rows, at + size)
            page["nextRecordsUrl"] = f"/services/data/v67.0/query/{locator}"
        return reply_json(page, Sforce_Limit_Info="api-usage=18/5000; per-app-api-usage=17/250(appName=tidegate); api-bursts=1/750")

    def _found(self, query: str, *, everything: bool) -> list[dict[str, Any]]:
        match = _QUERY.match(query)
        if match is None:
            raise Refused(400, "MALFORMED_QUERY", f"\n{query[:40]}\n  ^\nERROR at Row:1:Column:1\nunexpected token")
        name = match["object"]
        if name not in self.fields:
            raise Refused(400, "INVALID_TYPE", f"\nFROM {name}\n     ^\nERROR at Row:1:Column:1\nsObject type '{name}' is not supported.")
        chosen = [each.strip() for each in match["fields"].split(",")]
        for each in chosen:
            if each not in self.fields[name]:
                raise Refused(
                    400, "INVALID_FIELD", f"\nSELECT {each}\n       ^\nERROR at Row:1:Column:8\nNo such column '{each}' on entity '{name}'."
                )
        rows = [row for row in self.records.get(name, []) if (everything or not row.get("IsDeleted")) and _fits(row, match["where"] or "")]
        for each in reversed([part.strip() for part in (match["order"] or "").split(",") if part.strip()]):
            rows.sort(key=lambda row: row[each])
        rows = rows[: int(match["limit"])] if match["limit"] else rows
        return [
            {"attributes": {"type": name, "url": f"/services/data/v67.0/sobjects/{name}/{row['Id']}"}, **{n: row[n] for n in chosen}}
            for row in rows
        ]


def _fits(row: Mapping[str, Any], where: str) -> bool:
    """Whether a record fits: one list of values, or conditions joined by AND, of which one pair in brackets may be joined by OR."""
    if listed := _AMONG.match(where):
        return row[listed[1]] in re.findall(r"'((?:[^'\\]|\\.)*)'", listed[2])
    either: list[bool] | None = None
    at = 0
    while at < len(where):
        match = _CONDITION.match(where, at)
        if match is None:
            raise Refused(400, "MALFORMED_QUERY", f"unexpected token at {where[at:]!r}")
        opens, name, sign, literal, closes = match.groups()
        held, asked = row[name], _value(name, literal)
        held = datetime.fromisoformat(held) if isinstance(asked, datetime) else held
        truth = {">=": held >= asked, "<=": held <= asked, "=": held == asked, "<": held < asked, ">": held > asked}[sign]
        if opens:
            either = []
        if either is not None:
            either.append(truth)
            truth = any(either) if closes else True
            either = None if closes else either
        if not truth:
            return False
        at = match.end()
    return True


def _value(name: str, literal: str) -> Any:
    if literal.startswith("'"):
        return literal[1:-1]
    if not _MOMENT.match(literal):
        raise Refused(400, "INVALID_FIELD", f"value of filter criterion for field '{name}' must be of type dateTime")
    return datetime.fromisoformat(literal).astimezone(UTC)

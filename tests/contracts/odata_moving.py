"""A host whose sales orders change while they are read, on a real socket. It pages, orders and heeds conditions as well or as badly as it
is told to. Written for itself: it shares no code with the other scripted host, nor with the sandbox.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sync.connections import Connection
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

EPOCH = datetime(1970, 1, 1)
_CLAUSE = re.compile(r"(\w+) (ge|gt|le|lt|eq|ne) (datetimeoffset'[^']+'|'[^']*'|\d{4}-[\dT:.-]+Z)")


@dataclass
class Moving:
    """Orders by number: (100-nanosecond ticks since 1970 of their last change, value). `moves`: how many more answers are followed by changes.

    `order`: `full` heeds $orderby, `first` its first property only, `none` nothing. `pages`: `links` and counts, only `counts`, says
    nothing (`silent`), or gives everything at once (`whole`). `cap`: it gives so many at most. `heeds`: whether it heeds $filter.
    """

    order: Literal["full", "first", "none"] = "full"
    pages: Literal["links", "counts", "silent", "whole"] = "links"
    cap: int = 3
    heeds: bool = True
    moves: int = 6
    each: int = 2
    seed: int = 1
    v4: bool = False
    orders: dict[str, tuple[int, int]] = field(default_factory=dict)
    listings: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.server = ScriptedServer(self.answer)
        self.moved: set[str] = set()
        self.later = 0

    def connection(self, **options: Any) -> Connection:
        """The host as a connection that asks for pages of a thousand."""
        services = {"services": {"API_SALES_ORDER_SRV": {"protocol": "v4"}}} if self.v4 else {}
        return Connection(
            name="sap-moving", system="sap_s4", region="EMEA", legal_entities=("DE01",), allow_private_addresses=True,
            options={"base_url": self.server.url, "page_size": 1000, **services, **options},
            secrets={"user": "env:S4_TEST_USER", "password": "env:S4_TEST_PASSWORD"},
        )  # fmt: skip

    def fill(self, count: int, at: datetime, *, apart: timedelta = timedelta()) -> None:
        """`count` orders, changed `apart` from each other, within one millisecond in no order of their numbers."""
        for number in range(count):
            ticks = _ticks(at + number * apart) + (number * 7919) % 9_000
            self.orders[f"{1000 + number}"] = (ticks, number)

    def change(self, at: datetime) -> None:
        """Some orders change: they get a new value and go to the end."""
        for key in self.dice.sample(sorted(self.orders), self.each):
            self.later += 1
            self.orders[key] = (_ticks(at) + self.later, 10_000 + self.later)
            self.moved.add(key)

    def answer(self, asked: Asked) -> Reply:
        """One answer; while there are moves left, orders change after it."""
        if not asked.path.endswith(("A_SalesOrder", "SalesOrder")):
            return Reply(b"", 404, "text/plain")
        self.listings += 1
        query = dict(asked.query)
        rows = [key for key in self.orders if not self.heeds or self._holds(query.get("$filter", ""), key)]
        self._sort(rows, query.get("$orderby", ""))
        total, skip = len(rows), int(query.get("$skip", 0)) + int(query.get("$skiptoken", 0))
        if self.pages != "whole":
            rows = rows[skip:][: min(self.cap, int(query.get("$top", 10**6)))]
        reply = self._reply(asked, rows, total, skip + len(rows))
        if self.moves:
            self.moves -= 1
            self.change(self.at)
        return reply

    at = datetime(2026, 5, 20, 11, 30)
    """When orders change."""

    def _reply(self, asked: Asked, rows: list[str], total: int, reached: int) -> Reply:
        body: dict[str, Any] = {"value" if self.v4 else "results": [self._record(key) for key in rows]}
        if self.pages in ("links", "counts"):
            body["@odata.count" if self.v4 else "__count"] = total if self.v4 else str(total)
        if self.pages == "links" and reached < total:
            others = "&".join(f"{name}={_quoted(value)}" for name, value in asked.query.items() if name not in ("$skip", "$skiptoken"))
            link = f"{asked.path.rpartition('/')[2]}?{others}&$skiptoken={reached}"
            body["@odata.nextLink" if self.v4 else "__next"] = link
        return reply_json(body if self.v4 else {"d": body})

    def _record(self, key: str) -> dict[str, Any]:
        ticks, worth = self.orders[key]
        millis = ticks // 10_000
        stamp = (
            f"{EPOCH + timedelta(milliseconds=millis):%Y-%m-%dT%H:%M:%S}.{ticks % 10_000_000:07d}Z" if self.v4 else f"/Date({millis}+0000)/"
        )
        return {
            "SalesOrder": key, "SoldToParty": "10100001", "SalesOrganization": "1010", "TotalNetAmount": f"{worth}.00",
            "TransactionCurrency": "EUR", "DeliveryBlockReason": "", "TotalCreditCheckStatus": "", "OverallSDProcessStatus": "A",
            "LastChangeDateTime": stamp,
        }  # fmt: skip

    def _sort(self, rows: list[str], wanted: str) -> None:
        by = [one.strip() for one in wanted.split(",") if one.strip()]
        if self.order != "full":
            self.dice.shuffle(rows)
        if self.order == "first":
            by = by[:1]
        if self.order != "none":
            rows.sort(key=lambda key: [key if name == "SalesOrder" else self.orders[key][0] for name in by])

    def _holds(self, condition: str, key: str) -> bool:
        text = condition
        for name, sign, literal in _CLAUSE.findall(condition):
            held: Any = key if name == "SalesOrder" else self.orders[key][0] if name == "LastChangeDateTime" else None
            told: Any = literal.strip("'") if literal.startswith("'") else _literal_ticks(literal)
            true = held is None or {"ge": held >= told, "gt": held > told, "le": held <= told, "lt": held < told, "eq": held == told,
                                    "ne": held != told}[sign]  # fmt: skip
            text = text.replace(f"{name} {sign} {literal}", str(true), 1)
        return bool(eval(text)) if text else True


def _ticks(at: datetime) -> int:
    return int((at - EPOCH) / timedelta(microseconds=1)) * 10


def _literal_ticks(literal: str) -> int:
    return _ticks(datetime.fromisoformat(literal.removeprefix("datetimeoffset'").strip("'Z")))


def _quoted(value: str) -> str:
    return value.replace("%", "%25").replace(" ", "%20").replace("'", "%27").replace("+", "%2B")

"""A scripted S/4HANA host on a real socket: OData V2 reads over plain dictionaries, pages of two, basic authentication."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from sync.connections import Connection, Landscape, LegalEntity
from sync.systems.sap_s4.wire import ADDRESSES, DESCRIBED, EntitySet
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

PAGE = 2
ROOT = "/sap/opu/odata/sap"
BASIC = "Basic " + base64.b64encode(b"TIDEGATE:s3cret").decode()
LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="DE01", name="Meridian", region="EMEA", currency="EUR", company_code="1010"),))
CREDIT = EntitySet("API_CRDTMBUSINESSPARTNER", "CreditManagementAccount", ("BusinessPartner", "CreditSegment", "CreditLimitAmount"),
                   ("CreditSegmentCurrency", "CreditAccountIsBlocked", "CreditLimitLastChangeDate"))  # fmt: skip
_DATE = re.compile(r"/Date\((-?\d+)(?:\+0000)?\)/")
_LITERAL = re.compile(r"datetime(?:offset)?'([^']*)'")


def v2(at: datetime) -> str:
    """A moment as V2 JSON has it."""
    return f"/Date({int(at.timestamp() * 1000)}+0000)/"


def v2_day(at: datetime) -> str:
    """A day as V2 JSON has it."""
    return f"/Date({int(at.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)})/"


class Host:
    """The host: records by entity set; `hook` may answer a request before it is looked at."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {one.name: [] for one in (*DESCRIBED, CREDIT)}
        self.without: set[str] = {ADDRESSES.name}
        self.removed: set[str] = set()
        self.repeating = False
        self.hook: Callable[[Asked], Reply | None] = lambda _: None
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        """The host as a connection; its secrets are in S4_TEST_USER and S4_TEST_PASSWORD."""
        return Connection(
            name="sap-emea", system="sap_s4", region="EMEA", legal_entities=("DE01",), allow_private_addresses=True,
            options={"base_url": self.server.url + ROOT, "page_size": PAGE, **options},
            secrets={"user": "env:S4_TEST_USER", "password": "env:S4_TEST_PASSWORD"},
        )  # fmt: skip

    def answer(self, asked: Asked) -> Reply:
        """One answer."""
        hooked = self.hook(asked)
        if hooked is not None:
            return hooked
        if asked.headers.get("authorization") != BASIC:
            return Reply(b"<html>Logon failed</html>", 401, "text/html")
        service, _, name = asked.path.removeprefix(ROOT + "/").partition("/")
        if name == "$metadata":
            return Reply(self._metadata(service), 200, "application/xml")
        return self._list(asked, name)

    def _metadata(self, service: str) -> bytes:
        sets = [one for one in (*DESCRIBED, CREDIT) if one.service == service and one.name not in self.without]
        types = "".join(
            f'<EntityType Name="{one.name}Type">'
            + "".join(f'<Property Name="{name}" Type="Edm.String"/>' for name in (*one.needed, *one.wanted) if name not in self.removed)
            + "".join(f'<NavigationProperty Name="{name}"/>' for name, _ in one.expand)
            + "</EntityType>"
            for one in sets
        )
        holders = "".join(f'<EntitySet Name="{one.name}" EntityType="{service}.{one.name}Type"/>' for one in sets)
        return f'<Schema xmlns="http://schemas.microsoft.com/ado/2008/09/edm">{types}<EntityContainer>{holders}</EntityContainer></Schema>'.encode()

    def _list(self, asked: Asked, name: str) -> Reply:
        query = dict(asked.query)
        rows = [row for row in self.records[name] if _holds(query.get("$filter", "True"), row)]
        rows.sort(key=lambda row: [_plain(row.get(part, "")) for part in query.get("$orderby", "").split(",") if part])
        total = len(rows)
        rows = rows[int(query.get("$skip", 0)) :][: int(query.get("$top", 10**6))]
        at = int(query.get("$skiptoken", 0))
        body: dict[str, Any] = {"results": rows[at : at + PAGE], "__count": str(total)}
        if self.repeating and body["results"]:
            body["__next"] = f"{self.server.url}{asked.path}?{urlencode(query)}"
        elif at + PAGE < len(rows):
            body["__next"] = f"{self.server.url}{asked.path}?{urlencode({**query, '$skiptoken': str(at + PAGE)})}"
        return reply_json({"d": body})


def _plain(value: Any) -> Any:
    """A value in a form that compares with a literal's."""
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    return datetime.fromtimestamp(int(found[1]) / 1000, UTC).isoformat() if found else value


def _holds(condition: str, row: dict[str, Any]) -> bool:
    """Whether the row fulfils an OData condition of the kinds that we send."""
    literals: list[str] = []

    def keep(text: str) -> str:
        literals.append(text)
        return f" L{len(literals) - 1}L "

    def moment(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(found[1].replace("Z", "+00:00"))
        return keep(repr((at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()))

    text = _LITERAL.sub(moment, condition)
    text = re.sub(r"'((?:[^']|'')*)'", lambda found: keep(repr(found[1].replace("''", "'"))), text)
    for theirs, ours in (("eq", "=="), ("ne", "!="), ("ge", ">="), ("le", "<="), ("gt", ">"), ("lt", "<")):
        text = re.sub(rf"\b{theirs}\b", ours, text)
    text = re.sub(r"\b(?!and\b|or\b|not\b|True\b|L\d+L\b)([A-Za-z_]\w+)\b", r"(_plain(row.get('\1')) or '')", text)
    text = re.sub(r"L(\d+)L", lambda found: literals[int(found[1])], text)
    return bool(eval(text, {"row": row, "_plain": _plain}))

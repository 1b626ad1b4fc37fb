"""A scripted S/4HANA host on a real socket: OData reads over plain dictionaries, pages of two or as said, basic authentication. It speaks V2, or V4
for sales orders; it counts and links, or knows no paging at all, or heeds no condition.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from sync.connections import Connection, Landscape, LegalEntity
from sync.systems.sap_s4.journal import journal_set
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import ADDRESSES, DELIVERIES, DESCRIBED, EntitySet
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

PAGE = 2
ROOT = "/sap/opu/odata/sap"
BASIC = "Basic " + base64.b64encode(b"TIDEGATE:s3cret").decode()
LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="DE01", name="Meridian", region="EMEA", currency="EUR", company_code="1010"),))
CREDIT = EntitySet("API_CRDTMBUSINESSPARTNER", "CreditManagementAccount", ("BusinessPartner", "CreditSegment", "CreditLimitAmount"),
                   ("CreditSegmentCurrency", "CreditAccountIsBlocked", "CreditLimitLastChangeDate"))  # fmt: skip
JOURNAL = journal_set(Settings(base_url="https://s4", region="EMEA"))
ALL = (*DESCRIBED, DELIVERIES, CREDIT, JOURNAL)
V4_ROOT = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/salesorder/0001"
_DATE = re.compile(r"/Date\((-?\d+)(?:\+0000)?\)/")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?")
_LITERAL = re.compile(r"datetime(?:offset)?'([^']*)'|(?<!['\w])(\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?)")


def v2(at: datetime) -> str:
    """A moment as V2 JSON has it."""
    return f"/Date({int(at.timestamp() * 1000)}+0000)/"


def v2_day(at: datetime) -> str:
    """A day as V2 JSON has it."""
    return f"/Date({int(at.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)})/"


class Host:
    """The host: records by entity set; `hook` may answer a request before it is looked at."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {one.name: [] for one in ALL}
        self.without: set[str] = {ADDRESSES.name}
        self.removed: set[str] = set()
        self.repeating = False
        self.page = PAGE
        self.paging: Literal["server", "none", "deaf"] = "server"
        """`none`: no count, no links, $top is not heeded; `deaf`: conditions are not heeded, only $skip and $top are."""
        self.hook: Callable[[Asked], Reply | None] = lambda _: None
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        """The host as a connection; its secrets are in S4_TEST_USER and S4_TEST_PASSWORD."""
        return Connection(
            name="sap-emea", system="sap_s4", region="EMEA", legal_entities=("DE01",), allow_private_addresses=True,
            options={"base_url": self.server.url + ROOT, "page_size": self.page, **options},
            secrets={"user": "env:S4_TEST_USER", "password": "env:S4_TEST_PASSWORD"},
        )  # fmt: skip

    def answer(self, asked: Asked) -> Reply:
        """One answer."""
        hooked = self.hook(asked)
        if hooked is not None:
            return hooked
        if asked.headers.get("authorization") != BASIC:
            return Reply(b"<html>Logon failed</html>", 401, "text/html")
        if asked.path.startswith(V4_ROOT):
            return self._v4(asked, asked.path.removeprefix(V4_ROOT + "/"))
        service, _, name = asked.path.removeprefix(ROOT + "/").partition("/")
        if name == "$metadata":
            return Reply(self._metadata(service.partition(";")[0]), 200, "application/xml")
        if name not in self.records:
            return Reply(b"<html>Not Found</html>", 404, "text/html")
        return self._list(asked, name)

    def _v4(self, asked: Asked, name: str) -> Reply:
        if name == "$metadata":
            return Reply(
                self._metadata("API_SALES_ORDER_SRV").replace(b"A_SalesOrder", b"SalesOrder").replace(b"/02/edm", b"/ns/edm"),
                200,
                "application/xml",
            )
        rows, following, total = self._rows(asked, f"A_{name}")
        body: dict[str, Any] = {"@odata.context": f"$metadata#{name}", "value": rows}
        if self.paging == "server":
            body["@odata.count"] = total
        if following is not None:
            body["@odata.nextLink"] = f"{name}?{urlencode(following)}"
        return reply_json(body)

    def _metadata(self, service: str) -> bytes:
        sets = [one for one in ALL if one.service == service and one.name not in self.without]
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
        rows, following, total = self._rows(asked, name)
        body: dict[str, Any] = {"results": rows}
        if self.paging == "server":
            body["__count"] = str(total)
        if following is not None:
            body["__next"] = f"{self.server.url}{asked.path}?{urlencode(following)}"
        return reply_json({"d": body})

    def _rows(self, asked: Asked, name: str) -> tuple[list[dict[str, Any]], dict[str, str] | None, int]:
        """The page's records, the query of the next one, and how many there are in all."""
        query = dict(asked.query)
        condition = "True" if self.paging == "deaf" else query.get("$filter", "True")
        rows = [row for row in self.records[name] if _holds(condition, row)]
        rows.sort(key=lambda row: [_plain(row.get(part, "")) for part in query.get("$orderby", "").split(",") if part])
        total = len(rows)
        if self.paging == "none":
            return rows, None, total
        rows = rows[int(query.get("$skip", 0)) :][: int(query.get("$top", 10**6))]
        if self.paging == "deaf":
            return rows, None, total
        at = int(query.get("$skiptoken", 0))
        page = rows[at : at + self.page]
        if self.repeating and page:
            return page, query, total
        return page, {**query, "$skiptoken": str(at + self.page)} if at + self.page < len(rows) else None, total


def _plain(value: Any) -> Any:
    """A value in a form that compares with a literal's."""
    if not isinstance(value, str):
        return value
    found = _DATE.fullmatch(value)
    if found:
        return datetime.fromtimestamp(int(found[1]) / 1000, UTC).isoformat()
    if _ISO.fullmatch(value):
        at = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
    return value


def _holds(condition: str, row: dict[str, Any]) -> bool:
    """Whether the row fulfils an OData condition of the kinds that we send."""
    literals: list[str] = []

    def keep(text: str) -> str:
        literals.append(text)
        return f" L{len(literals) - 1}L "

    def moment(found: re.Match[str]) -> str:
        at = datetime.fromisoformat((found[1] or found[2]).replace("Z", "+00:00"))
        return keep(repr((at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()))

    text = _LITERAL.sub(moment, condition)
    text = re.sub(r"'((?:[^']|'')*)'", lambda found: keep(repr(found[1].replace("''", "'"))), text)
    for theirs, ours in (("eq", "=="), ("ne", "!="), ("ge", ">="), ("le", "<="), ("gt", ">"), ("lt", "<")):
        text = re.sub(rf"\b{theirs}\b", ours, text)
    text = re.sub(r"\b(?!and\b|or\b|not\b|True\b|L\d+L\b)([A-Za-z_]\w+)\b", r"(_plain(row.get('\1')) or '')", text)
    text = re.sub(r"L(\d+)L", lambda found: literals[int(found[1])], text)
    return bool(eval(text, {"row": row, "_plain": _plain}))

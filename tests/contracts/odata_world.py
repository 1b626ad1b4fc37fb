"""An S/4HANA host that keeps books, on a real socket: entity sets with the types of SAP's metadata, conditions, orders and pages of OData, in V2
or V4. Made from the contract and the `.edmx` alone: it shares no code with the other scripted hosts, nor with the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote, urlencode

from sync.connections import Connection
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json

Kind = Literal["String", "Decimal", "DateTime", "DateTimeOffset", "Boolean"]
Row = dict[str, Any]
V2, V4 = "/sap/opu/odata/sap/", "/sap/opu/odata4/sap/"
_CUBE = {
    "String": "CompanyCode FiscalYear AccountingDocument AccountingDocumentItem FinancialAccountType Customer TransactionCurrency"
    " ClearingAccountingDocument BillingDocument InvoiceReference InvoiceReferenceFiscalYear AccountingDocumentType SpecialGLCode"
    " DebitCreditCode ClearingDocFiscalYear PaymentReference DocumentReferenceID AssignmentReference HouseBankAccount GLAccount",
    "Decimal": "AmountInTransactionCurrency",
    "DateTime": "LastChangeDate ClearingCreationDate ClearingDate PostingDate DocumentDate ValueDate AccountingDocumentCreationDate",
    "Boolean": "IsCleared IsReversal IsReversed ClearingIsReversed",
}
_ORDER = {
    "String": "SalesOrder SoldToParty SalesOrganization PurchaseOrderByCustomer TransactionCurrency DeliveryBlockReason"
    " HeaderBillingBlockReason TotalCreditCheckStatus OverallSDProcessStatus OverallTotalDeliveryStatus OverallSDDocumentRejectionSts"
    " SalesDocApprovalStatus",
    "Decimal": "TotalNetAmount",
    "DateTime": "SalesOrderDate CreationDate RequestedDeliveryDate",
    "DateTimeOffset": "LastChangeDateTime",
}
_BILL = {
    "String": "BillingDocument SDDocumentCategory PayerParty SoldToParty TransactionCurrency CompanyCode FiscalYear AccountingDocument"
    " PaymentReference CustomerPaymentTerms AdditionalValueDays Country DunningBlockingReason CancelledBillingDocument"
    " AccountingPostingStatus",
    "Decimal": "TotalGrossAmount TaxAmount",
    "DateTime": "BillingDocumentDate FixedValueDate",
    "DateTimeOffset": "LastChangeDateTime",
    "Boolean": "BillingDocumentIsCancelled",
}
_DELIVERY = {
    "String": "DeliveryDocument SoldToParty OverallDelivReltdBillgStatus OverallGoodsMovementStatus OverallSDProcessStatus SalesOrganization"
    " TransactionCurrency SDDocumentCategory",
    "DateTime": "ActualGoodsMovementDate LastChangeDate CreationDate",
}
_LINE = {
    "String": "CompanyCode FiscalYear AccountingDocument LedgerGLLineItem Ledger SourceLedger GLAccount TransactionCurrency DebitCreditCode"
    " FinancialAccountType AccountingDocumentType",
    "Decimal": "AmountInTransactionCurrency",
    "DateTime": "PostingDate ClearingDate",
    "DateTimeOffset": "LastChangeDateTime CreationDateTime",
    "Boolean": "IsReversal IsReversed",
}
_PARTNER = {
    "String": "BusinessPartner Customer BusinessPartnerFullName BusinessPartnerName",
    "DateTime": "LastChangeDate CreationDate",
    "Boolean": "BusinessPartnerIsBlocked IsMarkedForArchiving",
}
_CUSTOMER = {
    "String": "Customer CustomerName OrderIsBlockedForCustomer DeliveryIsBlocked BillingIsBlockedForCustomer VATRegistration"
    " CustomerCorporateGroup CustomerClassification",
    "Boolean": "PostingIsBlocked DeletionIndicator",
}
_CREDIT = {
    "String": "BusinessPartner CreditSegment CreditSegmentCurrency",
    "Decimal": "CreditLimitAmount",
    "DateTime": "CreditLimitValidityEndDate CreditLimitLastChangeDate",
    "Boolean": "CreditAccountIsBlocked",
}
_ITEM = {
    "String": "SalesOrder SalesOrderItem TransactionCurrency RequestedQuantityUnit",
    "Decimal": "NetAmount RequestedQuantity",
}
_SHIPPED = {
    "String": "DeliveryDocumentItem ReferenceSDDocument ReferenceSDDocumentItem DeliveryQuantityUnit DeliveryRelatedBillingStatus",
    "Decimal": "ActualDeliveryQuantity",
}


@dataclass(frozen=True)
class Table:
    """An entity set: its service, its keys, what its properties are, and what hangs on its records."""

    service: str
    keys: tuple[str, ...]
    kinds: dict[str, Kind]
    leads: dict[str, dict[str, Kind]] = field(default_factory=dict)


def _kinds(named: dict[str, str]) -> dict[str, Kind]:
    return {name: kind for kind, names in named.items() for name in names.split()}  # type: ignore[misc]


TABLES = {
    "A_OperationalAcctgDocItemCube": Table(
        "API_OPLACCTGDOCITEMCUBE_SRV", ("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem"), _kinds(_CUBE)
    ),
    "A_SalesOrder": Table("API_SALES_ORDER_SRV", ("SalesOrder",), _kinds(_ORDER)),
    "A_SalesOrderItem": Table("API_SALES_ORDER_SRV", ("SalesOrder", "SalesOrderItem"), _kinds(_ITEM)),
    "A_BillingDocument": Table("API_BILLING_DOCUMENT_SRV", ("BillingDocument",), _kinds(_BILL), {"to_Item": _kinds({"String": "SalesDocument"})}),
    "A_OutbDeliveryHeader": Table(
        "API_OUTBOUND_DELIVERY_SRV", ("DeliveryDocument",), _kinds(_DELIVERY), {"to_DeliveryDocumentItem": _kinds(_SHIPPED)}
    ),
    "GLAccountLineItem": Table(
        "API_GLACCOUNTLINEITEM", ("Ledger", "CompanyCode", "FiscalYear", "AccountingDocument", "LedgerGLLineItem"), _kinds(_LINE)
    ),
    "A_BusinessPartner": Table("API_BUSINESS_PARTNER", ("BusinessPartner",), _kinds(_PARTNER)),
    "A_Customer": Table("API_BUSINESS_PARTNER", ("Customer",), _kinds(_CUSTOMER)),
    "A_CustomerCompany": Table("API_BUSINESS_PARTNER", ("Customer", "CompanyCode"), _kinds({"String": "Customer CompanyCode PaymentTerms"})),
    "CreditManagementAccount": Table("API_CRDTMBUSINESSPARTNER", ("BusinessPartner", "CreditSegment"), _kinds(_CREDIT)),
}  # fmt: skip


class Refused(Exception):
    """A question that the host does not take."""


@dataclass
class World:
    """`rows`: by entity set the records by their keys; values are texts, Decimals, dates, moments and truths. `cap`: it gives so many at most.

    `links`: it says by a link that there is more, else by its count. `filters`, `sorts`: whether it heeds conditions and orders. `without`: what
    this release does not have; `quiet`: it keeps its metadata to itself. `hook` may answer first; `after` is called behind each answered listing.
    """

    cap: int = 1000
    links: bool = True
    filters: bool = True
    sorts: bool = True
    v4: tuple[str, ...] = ()
    without: set[str] = field(default_factory=set)
    quiet: bool = False
    rows: dict[str, dict[tuple[str, ...], Row]] = field(default_factory=lambda: {name: {} for name in TABLES})
    hook: Callable[[Asked], Reply | None] = lambda _: None
    after: Callable[[Asked], None] = lambda _: None

    def __post_init__(self) -> None:
        self.server = ScriptedServer(self._answer)

    def connection(self, *, entities: tuple[str, ...] = ("DE01",), **options: Any) -> Connection:
        """The host as a connection."""
        services = {"services": {name: _declared(name) for name in self.v4}} if self.v4 else {}
        return Connection(
            name="sap-world", system="sap_s4", region="EMEA", legal_entities=entities, allow_private_addresses=True,
            options={"base_url": self.server.url, "page_size": self.cap, "batch": False, **services, **options},
            secrets={"user": "env:S4_TEST_USER", "password": "env:S4_TEST_PASSWORD"},
        )  # fmt: skip

    def put(self, name: str, **values: Any) -> Row:
        """A record, new or with these values changed; what is not said is initial."""
        table = TABLES[name]
        key = tuple(values[one] for one in table.keys)
        initial = {one: {"String": "", "Decimal": Decimal(0), "Boolean": False}.get(kind) for one, kind in table.kinds.items()}
        held = self.rows[name].get(key) or {**initial, **{lead: [] for lead in table.leads}}
        self.rows[name][key] = {**held, **values}
        return self.rows[name][key]

    def _answer(self, asked: Asked) -> Reply:
        hooked = self.hook(asked)
        if hooked is not None:
            return hooked
        spoken = "v4" if asked.path.startswith(V4) else "v2"
        rest = asked.path.removeprefix(V4).removeprefix(V2)
        service, _, name = rest.partition("/")
        service = service.partition(";")[0]
        if name == "$metadata":
            if self.quiet:
                return Reply(b"", 403)
            return Reply(self._metadata(service), 200, "application/xml")
        if name not in TABLES or TABLES[name].service != service:
            return Reply(b"<html><title>Not Found</title></html>", 404, "text/html")
        try:
            reply = self._listing(asked, name, spoken)
        except Refused as refused:
            said = {"lang": "en", "value": str(refused)} if spoken == "v2" else str(refused)
            return reply_json({"error": {"code": "005056A509B11EE1B9A8FEC11C21578E", "message": said}}, 400)
        self.after(asked)
        return reply

    def _listing(self, asked: Asked, name: str, spoken: str) -> Reply:
        table, query = TABLES[name], asked.query
        kinds = {one: kind for one, kind in table.kinds.items() if one not in self.without}
        self._known(query.get("$select", ""), kinds, table)
        found = list(self.rows[name].values())
        if "$filter" in query:
            meets = Condition(query["$filter"], kinds).meets
            found = [row for row in found if meets(row)] if self.filters else found
        if self.sorts:
            terms = [term.split()[0] for term in query.get("$orderby", "").split(",") if term]
            self._known(",".join(terms), kinds, table)
            found.sort(key=lambda row: [(row[term] is not None, row[term]) for term in (*terms, *table.keys)])
        skip = int(query.get("$skip", 0)) + int(query.get("$skiptoken", 0))
        wanted = int(query.get("$top", 10**6)) - int(query.get("$skiptoken", 0))
        part = found[skip : skip + min(self.cap, wanted)]
        more = self.links and len(part) < min(len(found) - skip, wanted)
        link = (
            f"{name}?{urlencode({**query, '$skiptoken': str(int(query.get('$skiptoken', 0)) + len(part))}, quote_via=quote)}"
            if more
            else None
        )
        chosen = query.get("$select", "").split(",") if "$select" in query else list(kinds)
        written = [self._written(row, table, kinds, chosen, query.get("$expand", ""), spoken) for row in part]
        if spoken == "v4":
            body: dict[str, Any] = {"@odata.context": f"$metadata#{name}", "value": written}
            body |= {"@odata.count": len(found)} if query.get("$count") == "true" else {}
            return reply_json(body | ({"@odata.nextLink": link} if link else {}))
        inner: dict[str, Any] = {"results": written}
        inner |= {"__count": str(len(found))} if query.get("$inlinecount") == "allpages" else {}
        return reply_json({"d": inner | ({"__next": f"{self.server.url}{V2}{table.service}/{link}"} if link else {})})

    def _known(self, names: str, kinds: dict[str, Kind], table: Table) -> None:
        for name in filter(None, names.split(",")):
            lead, _, inner = name.partition("/")
            if name not in kinds and inner not in table.leads.get(lead, {}):
                raise Refused(f"Property {name} not found in type {table.service}.Type")

    def _written(self, row: Row, table: Table, kinds: dict[str, Kind], chosen: list[str], expand: str, spoken: str) -> Row:
        plain = {name: _said(row[name], kinds[name], spoken) for name in chosen if name in kinds}
        for lead, inner in table.leads.items():
            if lead in expand:
                held = [{name: _said(one.get(name), kind, spoken) for name, kind in inner.items()} for one in row[lead]]
                plain[lead] = {"results": held} if spoken == "v2" else held
            elif spoken == "v2":
                plain[lead] = {"__deferred": {"uri": f"{self.server.url}/x/{lead}"}}
        return plain

    def _metadata(self, service: str) -> bytes:
        types, sets = "", ""
        for name, table in TABLES.items():
            if table.service != service:
                continue
            own = "".join(f'<Property Name="{one}" Type="Edm.{kind}"/>' for one, kind in table.kinds.items() if one not in self.without)
            types += f'<EntityType Name="{name}Type">{own}' + "".join(f'<NavigationProperty Name="{one}"/>' for one in table.leads)
            types += "</EntityType>"
            sets += f'<EntitySet Name="{name}" EntityType="{service}.{name}Type"/>'
        return (
            '<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema'
            f' xmlns="http://schemas.microsoft.com/ado/2008/09/edm">{types}<EntityContainer Name="C">{sets}</EntityContainer></Schema>'
            "</edmx:DataServices></edmx:Edmx>"
        ).encode()


def _declared(service: str) -> dict[str, Any]:
    """A service in V4, under V2's names."""
    tables = {name: table for name, table in TABLES.items() if table.service == service}
    leads = {lead: lead for table in tables.values() for lead in table.leads}
    return {"protocol": "v4", "path": V4 + service, "sets": {name: name for name in tables}, "navigation": leads}


def _said(value: Any, kind: Kind, spoken: str) -> Any:
    """A value as the protocol writes it."""
    if value is None or kind in ("String", "Boolean"):
        return value
    if kind == "Decimal":
        return format(value, "f")
    if spoken == "v4":
        return f"{value:%Y-%m-%d}" if kind == "DateTime" else f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond:06d}0Z"
    at = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    ticks = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return f"/Date({ticks}+0000)/" if kind == "DateTimeOffset" else f"/Date({ticks})/"


_TOKEN = re.compile(
    r"\s*(?:(?P<word>and|or|not|eq|ne|gt|ge|lt|le)\b|(?P<sign>[()])|datetimeoffset'(?P<moment>[^']*)'|datetime'(?P<day>[^']*)'"
    r"|(?P<iso>\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?)|'(?P<text>(?:[^']|'')*)'|(?P<truth>true|false|null)\b|(?P<number>-?\d+(?:\.\d+)?)[mM]?"
    r"|(?P<name>[A-Za-z_]\w*))"
)  # fmt: skip
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
}  # fmt: skip


class Condition:
    """A $filter, read by its grammar: `not` before `and` before `or`. Raises Refused for a name or a literal that does not fit."""

    def __init__(self, text: str, kinds: dict[str, Kind]) -> None:
        self._kinds = kinds
        self._tokens = list(self._read(text))
        self.meets = self._either()
        if self._tokens:
            raise Refused(f"Invalid token detected at position {len(text)}")

    def _read(self, text: str) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise Refused(f"Invalid token detected at position {at}")
            at = found.end()
            yield found.lastgroup, found[found.lastgroup]

    def _next(self, *words: str) -> bool:
        if self._tokens and self._tokens[0][1] in words and self._tokens[0][0] in ("word", "sign"):
            self._tokens.pop(0)
            return True
        return False

    def _either(self) -> Callable[[Row], bool]:
        parts = [self._both()]
        while self._next("or"):
            parts.append(self._both())
        return lambda row: any(part(row) for part in parts)

    def _both(self) -> Callable[[Row], bool]:
        parts = [self._single()]
        while self._next("and"):
            parts.append(self._single())
        return lambda row: all(part(row) for part in parts)

    def _single(self) -> Callable[[Row], bool]:
        if self._next("not"):
            inner = self._single()
            return lambda row: not inner(row)
        if self._next("("):
            inner = self._either()
            if not self._next(")"):
                raise Refused("Syntax error in $filter: a bracket is open")
            return inner
        if len(self._tokens) < 3:
            raise Refused("Syntax error in $filter")
        (_, name), (_, sign), (kind, said) = self._tokens[:3]
        del self._tokens[:3]
        if name not in self._kinds:
            raise Refused(f"Property {name} not found in type")
        wanted = self._literal(name, kind, said)
        compare = _COMPARED[sign]

        def meets(row: Row) -> bool:
            value = row[name]
            if value is None or wanted is None:
                return {"eq": value is wanted, "ne": value is not wanted}.get(sign, False)
            return compare(value, wanted)

        return meets

    def _literal(self, name: str, kind: str, said: str) -> Any:
        due = self._kinds[name]
        if kind == "truth":
            return {"true": True, "false": False, "null": None}[said]
        if due == "String" and kind == "text":
            return said.replace("''", "'")
        if due == "DateTime" and kind in ("day", "iso"):
            return date.fromisoformat(said[:10])
        if due == "DateTimeOffset" and kind in ("moment", "iso"):
            return datetime.fromisoformat(said)
        if due == "Decimal" and kind == "number":
            return Decimal(said)
        raise Refused(f"Invalid literal for property {name}")

"""The org's objects: Account, Opportunity, Quote, Contract, Order, with the custom fields of this company."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

from sandbox.records import Entity, Field, Getter, fields
from sandbox.world.engine import World, salesforce_id
from sandbox.world.model import Account, Contract, Opportunity, Order

RELATIONS = {"Account": ("AccountId", "Account"), "Contract": ("ContractId", "Contract")}
"""Parent paths: relationship name -> (its id field, object)."""

ORGANIZATION = salesforce_id("00D", 4711)


def second(moment: datetime) -> datetime:
    """The org stamps whole seconds."""
    return moment.replace(microsecond=0)


def attribute(name: str) -> Getter:
    """Reads an attribute as it is."""
    return lambda _, row: getattr(row, name)


def _common(created: str = "created_at", changed: str = "changed_at") -> tuple[Field, ...]:
    def stamp(name: str) -> Getter:
        return lambda _, row: second(getattr(row, name))

    return (
        Field("Id", "id", attribute("id"), 18),
        Field("CreatedDate", "datetime", stamp(created)),
        Field("LastModifiedDate", "datetime", stamp(changed)),
        Field("SystemModstamp", "datetime", stamp(changed)),
        Field("IsDeleted", "boolean", attribute("deleted")),
        Field("CurrencyIsoCode", "picklist", attribute("currency"), 3),
    )


def _touch(row: Any, now: datetime) -> None:
    row.changed_at = now


ACCOUNT = Entity(
    name="Account", rows=lambda w: w.accounts.values(), key=lambda a: str(a.id), stamp=lambda a: second(a.changed_at),
    fields=fields(
        *_common(),
        Field("Name", "string", attribute("name"), 255),
        Field("AccountNumber", "string", attribute("erp_number"), 40),
        Field("ParentId", "reference", lambda w, a: None, 18),
        Field("MasterRecordId", "reference", lambda w, a: w.merged.get(a.id), 18),
        Field("Type", "picklist", lambda w, a: "Customer - Direct", 255),
        Field("BillingCountryCode", "string", attribute("country"), 2),
        Field("BillingCountry", "string", attribute("country"), 80),
        Field("Industry", "picklist", lambda w, a: "Manufacturing", 255),
        Field("Segment__c", "picklist", attribute("segment"), 255),
        Field("OwnerName__c", "string", attribute("owner"), 80),
        Field("ERP_Customer_Number__c", "string", attribute("erp_number"), 10),
        Field("Collections_Status__c", "picklist", attribute("collections_status"), 255),
        Field("Collections_Overdue__c", "currency", attribute("collections_overdue")),
        Field("Collections_Currency__c", "string", attribute("collections_currency"), 3),
        Field("Collections_As_Of__c", "datetime", attribute("collections_as_of")),
        Field("Collections_Version__c", "double", attribute("collections_version")),
    ),
    breakable={"missing_key": "Id", "bad_currency": "CurrencyIsoCode", "bad_date": "SystemModstamp"},
    drift="Name", restamp=_touch,
)  # fmt: skip

OPPORTUNITY = Entity(
    name="Opportunity", rows=lambda w: w.opportunities.values(), key=lambda o: str(o.id),
    stamp=lambda o: second(o.changed_at),
    fields=fields(
        *_common(),
        Field("Name", "string", attribute("name"), 120),
        Field("AccountId", "reference", attribute("account"), 18),
        Field("StageName", "picklist", attribute("stage"), 255),
        Field("Amount", "currency", attribute("amount")),
        Field("CloseDate", "date", attribute("close")),
        Field("Probability", "percent", attribute("probability")),
        Field("IsClosed", "boolean", lambda w, o: o.stage.startswith("Closed")),
        Field("IsWon", "boolean", lambda w, o: o.stage == "Closed Won"),
        Field("Pricebook2Id", "reference", lambda w, o: None, 18),
        Field("Legal_Entity__c", "string", attribute("entity"), 4),
    ),
    breakable={"missing_key": "Id", "bad_currency": "CurrencyIsoCode", "bad_date": "CloseDate", "bad_amount": "Amount",
               "unknown_customer": "AccountId"},
    customer="AccountId", drift="Amount", restamp=_touch,
)  # fmt: skip


def _quoted(world: World) -> Iterator[Opportunity]:
    """The deals that have come as far as a quote: one each."""
    return (deal for deal in world.opportunities.values() if deal.probability >= 50 or deal.stage.startswith("Closed"))


def quote_id(deal: Opportunity) -> str:
    """The id of a deal's quote."""
    return "0Q0" + deal.id[3:]


QUOTE = Entity(
    name="Quote", rows=_quoted, key=quote_id, stamp=lambda o: second(o.changed_at),
    fields=fields(
        Field("Id", "id", lambda _, o: quote_id(o), 18),
        *[each for each in _common() if each.name != "Id"],
        Field("Name", "string", lambda _, o: f"Quote for {o.name}", 255),
        Field("OpportunityId", "reference", attribute("id"), 18),
        Field("AccountId", "reference", attribute("account"), 18),
        Field("QuoteNumber", "string", lambda _, o: f"{crc32(o.id.encode()) % 100_000_000:08d}", 30),
        Field("Status", "picklist", lambda _, o: {"Closed Won": "Accepted", "Closed Lost": "Denied"}.get(o.stage, "Presented"), 255),
        Field("ExpirationDate", "date", attribute("close")),
        Field("TotalPrice", "currency", attribute("amount")),
        Field("GrandTotal", "currency", attribute("amount")),
        Field("IsSyncing", "boolean", lambda _, o: True),
        Field("Legal_Entity__c", "string", attribute("entity"), 4),
    ),
    breakable={"missing_key": "Id", "bad_currency": "CurrencyIsoCode", "bad_date": "ExpirationDate", "bad_amount": "GrandTotal"},
    customer="AccountId", drift="GrandTotal", restamp=_touch,
)  # fmt: skip


def _end(_: World, c: Contract) -> date:
    months = c.start.year * 12 + c.start.month - 1 + c.months
    return date(months // 12, months % 12 + 1, min(c.start.day, 28))


CONTRACT = Entity(
    name="Contract", rows=lambda w: w.contracts.values(), key=lambda c: str(c.id), stamp=lambda c: second(c.changed_at),
    fields=fields(
        *_common(),
        Field("ContractNumber", "string", attribute("number"), 30),
        Field("AccountId", "reference", attribute("account"), 18),
        Field("Status", "picklist", lambda w, c: {"InApproval": "In Approval Process"}.get(c.status, c.status), 255),
        Field("StatusCode", "picklist", attribute("status"), 255),
        Field("StartDate", "date", attribute("start")),
        Field("EndDate", "date", _end),
        Field("ContractTerm", "int", attribute("months")),
        Field("ActivatedDate", "datetime", lambda w, c: c.activated_at and second(c.activated_at)),
        Field("ActivatedById", "reference", lambda w, c: c.activated_at and "0055g00000AAAAAAA1", 18),
        Field("CompanySignedDate", "date", lambda w, c: c.activated_at and c.activated_at.date()),
        Field("Contract_Value__c", "currency", attribute("value")),
        Field("Legal_Entity__c", "string", attribute("entity"), 4),
        Field("Opportunity__c", "reference", attribute("opportunity"), 18),
    ),
    breakable={"missing_key": "ContractNumber", "bad_currency": "CurrencyIsoCode", "bad_date": "StartDate",
               "bad_amount": "Contract_Value__c", "unknown_customer": "AccountId"},
    customer="AccountId", drift="Contract_Value__c", restamp=_touch,
)  # fmt: skip


def _contract(world: World, order: Order) -> Contract:
    return world.contracts[order.contract or ""]


def _touch_order(order: Order, now: datetime) -> None:
    order.crm_changed_at = now


ORDER = Entity(
    name="Order", rows=lambda w: (o for o in w.orders.values() if o.crm_id), key=lambda o: str(o.crm_id),
    stamp=lambda o: second(o.crm_changed_at),
    fields=fields(
        Field("Id", "id", attribute("crm_id"), 18),
        Field("CreatedDate", "datetime", lambda w, o: second(o.created_at)),
        Field("LastModifiedDate", "datetime", lambda w, o: second(o.crm_changed_at)),
        Field("SystemModstamp", "datetime", lambda w, o: second(o.crm_changed_at)),
        Field("IsDeleted", "boolean", lambda w, o: False),
        Field("CurrencyIsoCode", "picklist", attribute("currency"), 3),
        Field("OrderNumber", "string", lambda w, o: f"{int(o.number):08d}", 30),
        Field("AccountId", "reference", lambda w, o: _contract(w, o).account, 18),
        Field("ContractId", "reference", lambda w, o: _contract(w, o).id, 18),
        Field("EffectiveDate", "date", lambda w, o: o.created_at.date()),
        Field("EndDate", "date", lambda w, o: None),
        Field("Status", "picklist", lambda w, o: "Activated", 255),
        Field("StatusCode", "picklist", lambda w, o: "Activated", 255),
        Field("ActivatedDate", "datetime", lambda w, o: second(o.created_at)),
        Field("TotalAmount", "currency", attribute("net")),
        Field("IsReductionOrder", "boolean", lambda w, o: False),
        Field("OriginalOrderId", "reference", lambda w, o: None, 18),
        Field("Legal_Entity__c", "string", attribute("entity"), 4),
    ),
    breakable={"missing_key": "Id", "bad_currency": "CurrencyIsoCode", "bad_date": "EffectiveDate",
               "bad_amount": "TotalAmount", "unknown_customer": "AccountId"},
    customer="AccountId", drift="TotalAmount", restamp=_touch_order,
)  # fmt: skip

OBJECTS = {e.name: e for e in (ACCOUNT, OPPORTUNITY, QUOTE, CONTRACT, ORDER)}
UNKNOWN_ACCOUNT = "0015g00000ZZZZZZZZZ"
BROKEN: dict[str, Any] = {
    "bad_amount": "12.345,67x", "bad_currency": "XXQ", "missing_key": None, "unknown_customer": UNKNOWN_ACCOUNT,
    "bad_date": "2026-02-31",
}  # fmt: skip


def find(world: World, name: str, record_id: str) -> Account | Opportunity | Contract | Order | None:
    """A record by its id, or None."""
    if name == "Account":
        return world.accounts.get(record_id)
    if name == "Opportunity":
        return world.opportunities.get(record_id)
    if name == "Quote":
        return world.opportunities.get("006" + record_id[3:])
    if name == "Contract":
        return world.contracts.get(world.contract_numbers.get(record_id, ""))
    return next((order for order in world.orders.values() if order.crm_id == record_id), None)


def wire(value: Any) -> Any:
    """A value as the REST API writes it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.000+0000"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return value.quantize(Decimal("0.1")) if value == value.to_integral_value() else value
    return value

"""Salesforce records in canonical words. Pure: bytes in, frames out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from sync.canonical.contracts import Customer, CustomerMerge, Opportunity, Quote, SalesContract, SalesOrder
from sync.ports import GONE_SCHEMA, Complete, Mapped, Page, no_rejects
from sync.systems.salesforce.settings import Settings
from sync.systems.salesforce.sheet import CsvSheet, JsonSheet, Sheet
from sync.systems.salesforce.wire import (
    AMONG_HEADER,
    ASKED_HEADER,
    CURRENCY_HEADER,
    FIELDS_HEADER,
    KINDS_HEADER,
    RANGE_HEADER,
    SHAPE_HEADER,
    STAMP,
    moment_of,
)
from sync.wire_frames import (
    ORDINAL,
    Rule,
    Subject,
    all_rejects,
    blank_to_null,
    known_currency,
    readable,
    required,
    settle,
    to_amount,
    to_date,
    to_flag,
    to_number,
    to_utc,
)

CONTRACT_STATUS = {
    "Draft": "draft",
    "InApproval": "in_approval",
    "Activated": "activated",
    "Cancelled": "cancelled",
    "Terminated": "cancelled",
    "Expired": "expired",
}
"""By StatusCode: the labels in Status are the org's own to rename."""
ORDER_STATUS = {"Draft": "open", "Activated": "in_process", "Cancelled": "cancelled", "Superseded": "cancelled", "Expired": "cancelled"}
ENTITY_OF = {
    "accounts": Customer.entity,
    "opportunities": Opportunity.entity,
    "quotes": Quote.entity,
    "contracts": SalesContract.entity,
    "orders": SalesOrder.entity,
}
_ENVELOPE = ("source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")


def map_page(stream: str, page: Page, settings: Settings) -> Mapped:
    """A page in canonical words; `stream` is one of wire.readings. Raises DataError when it is no query result."""
    shape = page.headers.get(SHAPE_HEADER)
    if shape == "deleted":
        return _deletions(stream, page)
    asked = [name for name in page.headers.get(FIELDS_HEADER, "").split(",") if name and "." not in name]
    sheet = CsvSheet(page.body, dict(_pairs(page.headers.get(KINDS_HEADER, "")))) if shape == "csv" else JsonSheet(page.body)
    if shape == "ids" and set(asked) <= {"Id", STAMP}:
        mapped = Mapped(sheet.total, {}, no_rejects())
    else:
        mapped = _MAPPINGS[stream](_Asked(sheet, sheet.drift(asked), page.headers.get(CURRENCY_HEADER)), settings)
    return replace(mapped, complete=_complete(stream, page, sheet, settings))


def _complete(stream: str, page: Page, sheet: Sheet, settings: Settings) -> tuple[Complete, ...]:
    """What the page says of all records there are: nothing when it is not asked to, or when one of its records has no id to go by."""
    bounds, among = page.headers.get(RANGE_HEADER), page.headers.get(AMONG_HEADER)
    asked_at = moment_of(page.headers.get(ASKED_HEADER))
    if (bounds is None and among is None) or asked_at is None:
        return ()
    ids = sheet.frame({"Id": "Id"})["Id"]
    if ids.len() != sheet.total or ids.null_count():
        return ()
    entity = ENTITY_OF[stream]
    present = frozenset(ids.to_list())
    if among is not None:
        return (Complete(entity, present, asked_at, among=frozenset(among.split(","))),)
    after, _, upto = (bounds or "").partition("..")
    return (Complete(entity, present, asked_at, after or None, upto or None, gone_max=settings.sweep_gone_max),)


def _deletions(stream: str, page: Page) -> Mapped:
    """The ids that the org lists as deleted, each at the moment of its deletion."""
    sheet = JsonSheet(page.body, "deletedRecords")
    entity = ENTITY_OF[stream]
    frame = sheet.frame({"id": "id", "deletedDate": "deletedDate"}).with_columns(
        source_key=blank_to_null("id"), changed_at=to_utc("deletedDate")
    )
    rules = [required("id"), required("deletedDate"), readable("deletedDate", "changed_at", "bad_time")]
    good, bad = settle(frame, rules, Subject(entity, "id"), ["id", "deletedDate"])
    gone = good.with_columns(entity=pl.lit(entity), source_version=pl.col("changed_at").dt.epoch("ms"))
    return Mapped(sheet.total, {}, all_rejects(sheet.broken(entity), bad), gone=gone.select(GONE_SCHEMA.keys()).cast(GONE_SCHEMA))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A page's records, what is wrong with their shape, and the org's currency where they name none."""

    sheet: Sheet
    drift: list[Rule]
    currency: str | None


def _accounts(asked: _Asked, settings: Settings) -> Mapped:
    names = settings.fields
    fields = ["Name", "AccountNumber", "ParentId", "BillingCountryCode", "BillingCountry", "MasterRecordId", "OwnerId"]
    frame = _frame(asked, [*fields, names.erp_number, names.account_owner, names.account_segment], settings, legal_entity=None)
    country = pl.coalesce(
        blank_to_null("BillingCountryCode"),
        pl.when(pl.col("BillingCountry").str.len_chars() == 2).then(pl.col("BillingCountry").str.to_uppercase()),
    )
    frame = frame.with_columns(
        name=blank_to_null("Name"),
        number=pl.coalesce(blank_to_null("AccountNumber"), blank_to_null(names.erp_number)),
        parent_key=blank_to_null("ParentId"),
        country=country,
        segment=blank_to_null(names.account_segment),
        erp_number=blank_to_null(names.erp_number),
        owner=pl.coalesce(blank_to_null(names.account_owner), blank_to_null("OwnerId")),
        into_key=blank_to_null("MasterRecordId"),
        # the loser of a merge is gone: its MasterRecordId names the record that lives on
        is_deleted=pl.col("is_deleted") | blank_to_null("MasterRecordId").is_not_null(),
    ).with_columns(region=pl.col("country").replace_strict(settings.region_by_country, default=settings.region, return_dtype=pl.String))
    own = ("number", "name", "parent_key", "country", "segment", "erp_number", "owner")
    mapped = _finish(asked, frame, [], Subject(Customer.entity, "Id", "Id"), own)
    merged = frame.filter(pl.col("into_key").is_not_null()).join(mapped.frames[Customer.entity], on=ORDINAL, how="semi")
    if merged.is_empty():
        return mapped
    # the loser's row is deleted, the merge itself stands
    rows = merged.select(ORDINAL, *_ENVELOPE, "into_key").with_columns(is_deleted=pl.lit(value=False))
    return replace(mapped, frames={**mapped.frames, CustomerMerge.entity: rows})


def _opportunities(asked: _Asked, settings: Settings) -> Mapped:
    names = settings.fields
    fields = ["Name", "AccountId", "StageName", "Amount", "CurrencyIsoCode", "CloseDate", "Probability", "IsClosed", "IsWon"]
    frame = _frame(asked, [*fields, names.legal_entity], settings, legal_entity=names.legal_entity)
    frame = frame.with_columns(
        name=pl.col("Name"),
        customer_key=blank_to_null("AccountId"),
        stage=pl.col("StageName"),
        amount=to_amount("Amount"),
        currency=_currency(asked, settings),
        close_date=to_date("CloseDate"),
        probability=to_number("Probability"),
        is_closed=to_flag("IsClosed"),
        is_won=to_flag("IsWon"),
    )
    rules = [
        readable("Amount", "amount", "bad_amount"),
        *known_currency("amount", "currency", "CurrencyIsoCode"),
        readable("CloseDate", "close_date", "bad_date"),
        readable("Probability", "probability", "bad_value"),
    ]
    own = ("name", "customer_key", "stage", "amount", "currency", "close_date", "probability", "is_closed", "is_won")
    return _finish(asked, frame, rules, Subject(Opportunity.entity, "Id", "customer_key", "amount", "currency"), own)


def _quotes(asked: _Asked, settings: Settings) -> Mapped:
    names = settings.fields
    fields = ["QuoteNumber", "OpportunityId", "AccountId", "Status", "ExpirationDate", "GrandTotal", "TotalPrice", "CurrencyIsoCode"]
    frame = _frame(asked, [*fields, names.legal_entity], settings, legal_entity=names.legal_entity)
    frame = frame.with_columns(
        number=blank_to_null("QuoteNumber"),
        opportunity_key=blank_to_null("OpportunityId"),
        customer_key=blank_to_null("AccountId"),
        status=blank_to_null("Status"),
        expires_on=to_date("ExpirationDate"),
        # with tax and shipping where the org has it; a total that can't be read is no reason to take the other
        amount=pl.when(blank_to_null("GrandTotal").is_null()).then(to_amount("TotalPrice")).otherwise(to_amount("GrandTotal")),
        currency=_currency(asked, settings),
    )
    rules = [
        readable("GrandTotal", "amount", "bad_amount"),
        readable("TotalPrice", "amount", "bad_amount"),
        *known_currency("amount", "currency", "CurrencyIsoCode"),
        readable("ExpirationDate", "expires_on", "bad_date"),
    ]
    own = ("number", "opportunity_key", "customer_key", "status", "expires_on", "amount", "currency")
    return _finish(asked, frame, rules, Subject(Quote.entity, "Id", "customer_key", "amount", "currency"), own)


def _contracts(asked: _Asked, settings: Settings) -> Mapped:
    names = settings.fields
    fields = ["ContractNumber", "AccountId", "StatusCode", "StartDate", "EndDate", "ActivatedDate", "CurrencyIsoCode"]
    frame = _frame(
        asked,
        [*fields, names.contract_value, names.contract_opportunity, names.legal_entity],
        settings,
        legal_entity=names.legal_entity,
    )
    frame = frame.with_columns(
        number=blank_to_null("ContractNumber"),
        customer_key=blank_to_null("AccountId"),
        opportunity_key=blank_to_null(names.contract_opportunity),
        value=to_amount(names.contract_value),
        currency=_currency(asked, settings),
        start_date=to_date("StartDate"),
        end_date=to_date("EndDate"),
        status=_coded("StatusCode", CONTRACT_STATUS),
        approved_at=to_utc("ActivatedDate"),
    )
    rules = [
        required("number", "ContractNumber"),
        required("StatusCode"),
        readable("StatusCode", "status", "bad_value"),
        readable(names.contract_value, "value", "bad_amount"),
        *known_currency("value", "currency", "CurrencyIsoCode"),
        readable("StartDate", "start_date", "bad_date"),
        readable("EndDate", "end_date", "bad_date"),
        readable("ActivatedDate", "approved_at", "bad_time"),
    ]
    own = ("number", "customer_key", "opportunity_key", "value", "currency", "start_date", "end_date", "status", "approved_at")
    return _finish(asked, frame, rules, Subject(SalesContract.entity, "Id", "customer_key", "value", "currency"), own)


def _orders(asked: _Asked, settings: Settings) -> Mapped:
    names = settings.fields
    fields = {
        name: name for name in ("OrderNumber", "AccountId", "StatusCode", "EffectiveDate", "TotalAmount", "CurrencyIsoCode", "ContractId")
    }
    fields |= {"ContractNumber": "Contract.ContractNumber", names.legal_entity: names.legal_entity}
    frame = _frame(asked, fields, settings, legal_entity=names.legal_entity)
    valued = settings.orders_as == "sales_order"
    frame = frame.with_columns(
        number=blank_to_null("OrderNumber"),
        contract_number=blank_to_null("ContractNumber"),
        customer_key=blank_to_null("AccountId"),
        net_value=to_amount("TotalAmount"),
        currency=_currency(asked, settings),
        order_date=to_date("EffectiveDate"),
        status=_coded("StatusCode", ORDER_STATUS),
    )
    rules = [
        required("number", "OrderNumber"),
        required("customer_key", "AccountId"),
        readable("StatusCode", "status", "bad_value"),
        readable("TotalAmount", "net_value", "bad_amount"),
        *known_currency("net_value", "currency", "CurrencyIsoCode"),
        readable("EffectiveDate", "order_date", "bad_date"),
    ]
    own = ("number", "contract_number", "customer_key", *(("net_value", "currency") if valued else ()), "order_date", "status")
    return _finish(asked, frame, rules, Subject(SalesOrder.entity, "Id", "customer_key", "net_value", "currency"), own)


def _frame(asked: _Asked, fields: list[str] | Mapping[str, str], settings: Settings, *, legal_entity: str | None) -> pl.DataFrame:
    """The text columns and the envelope; an account belongs to no single legal entity, so it has none."""
    wanted = {name: name for name in fields} if isinstance(fields, list) else dict(fields)
    frame = asked.sheet.frame({"Id": "Id", "SystemModstamp": "SystemModstamp", "IsDeleted": "IsDeleted", **wanted})
    entity = pl.lit(None, pl.String) if legal_entity is None else pl.coalesce(blank_to_null(legal_entity), pl.lit(settings.legal_entity))
    return frame.with_columns(
        source_key=blank_to_null("Id"),
        changed_at=to_utc("SystemModstamp"),
        is_deleted=to_flag("IsDeleted"),
        legal_entity=entity.cast(pl.String),
    ).with_columns(
        source_version=pl.col("changed_at").dt.epoch("ms"),
        region=pl.col("legal_entity").replace_strict(settings.region_by_entity, default=settings.region, return_dtype=pl.String),
    )


def _finish(asked: _Asked, frame: pl.DataFrame, rules: list[Rule], subject: Subject, own: tuple[str, ...]) -> Mapped:
    base = [*asked.drift, required("Id"), required("SystemModstamp"), readable("SystemModstamp", "changed_at", "bad_time")]
    theirs = [name for name, kind in frame.schema.items() if kind == pl.String and name not in (*_ENVELOPE, *own)]
    good, bad = settle(frame, [*base, *rules], subject, theirs)
    return Mapped(
        records=asked.sheet.total,
        frames={subject.entity: good.select(ORDINAL, *_ENVELOPE, *own)},
        rejects=all_rejects(asked.sheet.broken(subject.entity), bad),
        fields_seen=asked.sheet.fields_seen(),
    )


def _currency(asked: _Asked, settings: Settings) -> pl.Expr:
    return pl.coalesce(blank_to_null("CurrencyIsoCode"), pl.lit(settings.currency), pl.lit(asked.currency)).cast(pl.String)


def _coded(column: str, codes: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(codes, default=None, return_dtype=pl.String)


def _pairs(text: str) -> list[tuple[str, str]]:
    """`a=x,b=y` as pairs."""
    return [(name, kind) for name, sign, kind in (part.partition("=") for part in text.split(",")) if sign]


_MAPPINGS = {"accounts": _accounts, "opportunities": _opportunities, "quotes": _quotes, "contracts": _contracts, "orders": _orders}

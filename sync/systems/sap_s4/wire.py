"""S/4HANA's wire: entity sets and the properties that we use, and how its values read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from urllib.parse import quote

import polars as pl

from db.money import parse_amount
from sync.systems.sap_s4.odata import Protocol, text
from sync.wire_frames import to_utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_V2_DATE = re.compile(r"^/Date\((-?\d{1,15})([+-]\d{1,4})?\)/$")
_ISO_MOMENT = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,12})?(Z|[+-]\d\d:\d\d)$")


@dataclass(frozen=True, slots=True)
class EntitySet:
    """An entity set and what we select from it. `needed`: without these properties its records mean nothing to us."""

    service: str
    name: str
    needed: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    expand: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(navigation property, the properties wanted of it)."""

    @property
    def path(self) -> str:
        """Where it is, below the base address."""
        return f"{self.service}/{self.name}"


PARTNERS = EntitySet(
    "API_BUSINESS_PARTNER", "A_BusinessPartner",
    needed=("BusinessPartner", "Customer", "LastChangeDate", "CreationDate"),
    wanted=("BusinessPartnerFullName", "BusinessPartnerName", "LastChangeTime", "CreationTime", "BusinessPartnerIsBlocked",
            "IsMarkedForArchiving"),
)  # fmt: skip
CUSTOMERS = EntitySet(
    "API_BUSINESS_PARTNER", "A_Customer",
    needed=("Customer",),
    wanted=("CustomerName", "OrderIsBlockedForCustomer", "DeliveryIsBlocked", "BillingIsBlockedForCustomer", "PostingIsBlocked",
            "DeletionIndicator", "VATRegistration", "CustomerCorporateGroup", "CustomerClassification"),
)  # fmt: skip
COMPANIES = EntitySet("API_BUSINESS_PARTNER", "A_CustomerCompany", needed=("Customer", "CompanyCode"), wanted=("PaymentTerms",))
ADDRESSES = EntitySet("API_BUSINESS_PARTNER", "A_BusinessPartnerAddress", needed=("BusinessPartner",), wanted=("AddressID", "Country"))
ORDERS = EntitySet(
    "API_SALES_ORDER_SRV", "A_SalesOrder",
    needed=("SalesOrder", "SoldToParty", "LastChangeDateTime", "TotalNetAmount", "TransactionCurrency", "DeliveryBlockReason",
            "TotalCreditCheckStatus"),
    wanted=("SalesOrganization", "PurchaseOrderByCustomer", "SalesOrderDate", "CreationDate", "RequestedDeliveryDate",
            "HeaderBillingBlockReason", "OverallSDProcessStatus", "OverallTotalDeliveryStatus", "OverallSDDocumentRejectionSts",
            "SalesDocApprovalStatus"),
)  # fmt: skip
RENAMED = {"OverallTotalDeliveryStatus": "OverallDeliveryStatus"}
"""Property -> what later releases call it."""
BILLING = EntitySet(
    "API_BILLING_DOCUMENT_SRV", "A_BillingDocument",
    needed=("BillingDocument", "LastChangeDateTime", "BillingDocumentDate", "TotalGrossAmount", "TransactionCurrency",
            "SDDocumentCategory", "BillingDocumentIsCancelled"),
    wanted=("PayerParty", "SoldToParty", "TaxAmount", "CompanyCode", "FiscalYear", "AccountingDocument", "PaymentReference",
            "CustomerPaymentTerms", "FixedValueDate", "AdditionalValueDays", "Country", "DunningBlockingReason",
            "CancelledBillingDocument", "AccountingPostingStatus"),
    expand=(("to_Item", ("SalesDocument",)),),
)  # fmt: skip
ITEMS = EntitySet(
    "API_OPLACCTGDOCITEMCUBE_SRV", "A_OperationalAcctgDocItemCube",
    needed=("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem", "FinancialAccountType", "Customer",
            "AmountInTransactionCurrency", "TransactionCurrency", "LastChangeDate", "ClearingCreationDate", "ClearingDate",
            "ClearingAccountingDocument", "BillingDocument", "InvoiceReference", "InvoiceReferenceFiscalYear"),
    wanted=("AccountingDocumentType", "SpecialGLCode", "DebitCreditCode", "PostingDate", "DocumentDate", "ValueDate", "IsCleared",
            "AccountingDocumentCreationDate", "ClearingDocFiscalYear", "PaymentReference", "DocumentReferenceID",
            "AssignmentReference", "HouseBankAccount", "IsReversal", "IsReversed", "GLAccount", "ClearingIsReversed"),
)  # fmt: skip
CREDIT_NEEDED = ("BusinessPartner", "CreditSegment", "CreditLimitAmount", "CreditSegmentCurrency")
CREDIT_WANTED = ("CreditAccountIsBlocked", "CreditLimitValidityEndDate", "CreditLimitLastChangeDate")
ORDER_ITEMS = EntitySet(
    "API_SALES_ORDER_SRV", "A_SalesOrderItem",
    needed=("SalesOrder", "SalesOrderItem", "NetAmount", "TransactionCurrency", "RequestedQuantity", "RequestedQuantityUnit"),
)  # fmt: skip
DELIVERIES = EntitySet(
    "API_OUTBOUND_DELIVERY_SRV", "A_OutbDeliveryHeader",
    needed=("DeliveryDocument", "SoldToParty", "ActualGoodsMovementDate", "OverallDelivReltdBillgStatus", "LastChangeDate", "CreationDate"),
    wanted=("OverallGoodsMovementStatus", "OverallSDProcessStatus", "SalesOrganization", "TransactionCurrency", "SDDocumentCategory"),
    expand=(("to_DeliveryDocumentItem",
             ("DeliveryDocumentItem", "ReferenceSDDocument", "ReferenceSDDocumentItem", "ActualDeliveryQuantity", "DeliveryQuantityUnit",
              "DeliveryRelatedBillingStatus")),),
)  # fmt: skip
"""No metadata of this service is at hand: the names are those of SAP's generated clients and of public reports of its model."""
JOURNAL_NEEDED = ("CompanyCode", "FiscalYear", "AccountingDocument", "LedgerGLLineItem", "Ledger", "GLAccount",
                  "AmountInTransactionCurrency", "TransactionCurrency", "PostingDate")  # fmt: skip
JOURNAL_WANTED = ("SourceLedger", "LastChangeDateTime", "CreationDateTime", "DebitCreditCode", "IsReversal", "IsReversed", "ClearingDate",
                  "FinancialAccountType", "AccountingDocumentType")  # fmt: skip
DESCRIBED = (PARTNERS, CUSTOMERS, COMPANIES, ADDRESSES, ORDERS, ORDER_ITEMS, BILLING, ITEMS)
"""The entity sets whose metadata SAP publishes; a test holds every property here to it."""


def key(entity_set: EntitySet, value: str) -> str:
    """The path of one record of a set with a single key, below its services' root."""
    return f"{entity_set.path}{predicate(value)}"


def predicate(value: str) -> str:
    """The key predicate of a record whose set has a single key, as it stands in a path."""
    return f"({quote(text(value), safe=chr(39))})"


def read_moment(value: object) -> datetime | None:
    """A V2 JSON date or a V4 DateTimeOffset as UTC, or None. V2's ticks are the clock at their offset, which is in minutes."""
    found = _V2_DATE.match(value) if isinstance(value, str) else None
    if found is None:
        return _read_iso(value) if isinstance(value, str) else None
    try:
        return _EPOCH + timedelta(milliseconds=int(found[1])) - timedelta(minutes=int(found[2] or 0))
    except OverflowError:
        return None


def _read_iso(value: str) -> datetime | None:
    found = _ISO_MOMENT.match(value)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}{(found[2] or '')[:7]}{found[3]}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def to_moment(column: str, protocol: Protocol = "v2") -> pl.Expr:
    """The text column of V2 JSON dates, or of V4 DateTimeOffsets, as UTC; null where it is none."""
    if protocol == "v4":
        # Polars reads nine digits of a second at most, and rounds none: S/4 writes seven.
        return to_utc(column)
    millis = pl.col(column).map_batches(_ticks, return_dtype=pl.Int64, is_elementwise=True)
    # Polars holds years 1 to 9999 and more; beyond them nothing of ours is meant.
    held = pl.when(millis.is_between(-62_135_596_800_000, 253_402_300_799_999)).then(millis * 1000).otherwise(None)
    return held.cast(pl.Datetime("us", "UTC"))


_DIGITS = pl.col("text").str.strip_prefix("/Date(").str.strip_suffix(")/").str.strip_suffix("+0000").alias("digits")
_AROUND = pl.col("text").str.len_bytes() - pl.col("digits").str.len_bytes()
_PLAIN = (_AROUND.is_in([8, 13]) & (pl.col("digits").str.len_bytes() <= 15) & ~pl.col("digits").str.starts_with("+")).alias("plain")


def _ticks(texts: pl.Series) -> pl.Series:
    """The milliseconds since 1970 in UTC that V2 JSON dates say. Hosts write UTC with no offset or +0000: where all do, digits are all
    that has to be read; where one text is otherwise, all are read by their shape.
    """
    taken = texts.alias("text").to_frame().with_columns(_DIGITS)
    plain, ticks = taken.select(_PLAIN, pl.col("digits").cast(pl.Int64, strict=False)).get_columns()
    if plain.all() and ticks.null_count() == texts.null_count():
        return ticks
    minutes = texts.str.extract(_V2_DATE.pattern, 2).str.strip_prefix("+").cast(pl.Int64, strict=False).fill_null(0)
    return texts.str.extract(_V2_DATE.pattern, 1).cast(pl.Int64, strict=False) - minutes * 60_000


@lru_cache(maxsize=256)
def to_day(column: str, protocol: Protocol = "v2") -> pl.Expr:
    """The text column of V2 JSON dates, or of V4 dates, as business dates, never shifted by a zone; null where it is none."""
    if protocol == "v4":
        return pl.col(column).str.to_date("%Y-%m-%d", strict=False)
    return to_moment(column).dt.date()


@lru_cache(maxsize=256)
def to_amount(column: str) -> pl.Expr:
    """The text column as an exact numeric(19,4) amount; null where it isn't one. A decimal may be written with an exponent."""
    return parse_amount(plainly(column))


def plainly(column: str) -> pl.Expr:
    """The text column with its decimals written without an exponent."""
    return pl.col(column).map_batches(_without_exponents, return_dtype=pl.String, is_elementwise=True)


_EXPONENT = r"^[+-]?\d{1,30}(\.\d{1,30})?[eE][+-]?\d{1,2}$"


def _without_exponents(texts: pl.Series) -> pl.Series:
    written = texts.str.contains(_EXPONENT).fill_null(value=False)
    if not written.any():
        return texts
    pairs = zip(texts, written, strict=True)
    return pl.Series(texts.name, [format(Decimal(text), "f") if found else text for text, found in pairs], dtype=pl.String)


@lru_cache(maxsize=256)
def to_duration_ms(column: str) -> pl.Expr:
    """The text column of Edm.Time (PT08H30M05S) or Edm.TimeOfDay (08:30:05) as milliseconds since midnight; null where it is none."""
    shape = r"^(?:PT)?(?:(\d{1,2})[H:])?(?:(\d{1,2})[M:])?(?:(\d{1,2})(?:\.\d+)?S?)?$"
    fits = pl.col(column).str.contains(r"^PT\d|^\d{2}:\d{2}:\d{2}") & pl.col(column).str.contains(shape)
    hours, minutes, seconds = (pl.col(column).str.extract(shape, n).cast(pl.Int64, strict=False).fill_null(0) for n in (1, 2, 3))
    return pl.when(fits).then((hours * 3600 + minutes * 60 + seconds) * 1000).otherwise(None)

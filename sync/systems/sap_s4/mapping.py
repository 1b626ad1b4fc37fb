"""S/4HANA's documents -> canonical frames: sales orders and billing documents; and what all its mappings share. Pure and vectorised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time

import polars as pl

from sync.ports import Mapped
from sync.systems.sap_s4.odata import Protocol, listing
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import BILLING, RENAMED, to_amount, to_day, to_moment
from sync.wire_frames import (
    Rows,
    Rule,
    Subject,
    all_rejects,
    blank_to_null,
    broken_rejects,
    decode,
    fields_seen,
    first_texts,
    readable,
    required,
    reshaped,
    settle,
    split,
    text_frame,
    to_flag,
)
from sync.wire_rows import member

PROFORMA = "U"
"""The SD document category of pro forma documents."""
UTC_TIME = pl.Datetime("us", "UTC")
CREDIT_STATUS = {"": "not_checked", "A": "ok", "B": "blocked", "C": "blocked", "D": "released"}
PROGRESS = {"": "not_relevant", "A": "open", "B": "partial", "C": "complete"}
ORDER_STATUS = {"": "open", "A": "open", "B": "in_process", "C": "complete"}
NEGATIVE_CATEGORIES = ("O", "N")
"""SD document categories whose positive amounts lower what a customer owes: credit memo, cancellation of an invoice."""


def map_orders(body: bytes, settings: Settings) -> Mapped:
    """A page of sales orders."""
    return orders_of(*read_page(body), settings)


def orders_of(rows: Rows, protocol: Protocol, settings: Settings) -> Mapped:
    """As `map_orders`, of records that were read already, of one page or of several."""
    names = ("SalesOrder", "SoldToParty", "SalesOrganization", "PurchaseOrderByCustomer", "TotalNetAmount", "TransactionCurrency",
             "SalesOrderDate", "CreationDate", "RequestedDeliveryDate", "DeliveryBlockReason", "HeaderBillingBlockReason",
             "TotalCreditCheckStatus", "OverallSDProcessStatus", "OverallSDDocumentRejectionSts", "LastChangeDateTime")  # fmt: skip
    old, new = next(iter(RENAMED.items()))
    frame = text_frame(rows, {**{name: name for name in names}, "delivery": old, "delivery_new": new, "etag": "__metadata.etag"})
    if protocol == "v4":
        frame = frame.drop("etag").join(_annotation(rows, "@odata.etag", "etag"), on="ordinal", how="left", maintain_order="left")
    told = pl.coalesce(blank_to_null("delivery"), blank_to_null("delivery_new"), "delivery", "delivery_new")
    frame = frame.with_columns(told.alias("delivery")).with_columns(
        net_value=to_amount("TotalNetAmount"),
        changed_at=to_moment("LastChangeDateTime", protocol),
        order_date=pl.coalesce(to_day("SalesOrderDate", protocol), to_day("CreationDate", protocol)),
        created_on=to_day("CreationDate", protocol),
        requested_delivery=to_day("RequestedDeliveryDate", protocol),
        credit_status=_coded("TotalCreditCheckStatus", CREDIT_STATUS),
        delivery_status=_coded("delivery", PROGRESS),
        process=_coded("OverallSDProcessStatus", ORDER_STATUS),
    )
    good, bad = settle(
        frame,
        [
            *reshaped(rows),
            required("SalesOrder"),
            *_stamped("LastChangeDateTime", "changed_at"),
            required("SoldToParty"),
            required("TotalNetAmount"),
            readable("TotalNetAmount", "net_value", "bad_amount"),
            required("TransactionCurrency"),
            readable("SalesOrderDate", "order_date", "bad_date"),
            readable("CreationDate", "created_on", "bad_date"),
            readable("RequestedDeliveryDate", "requested_delivery", "bad_date"),
            readable("TotalCreditCheckStatus", "credit_status", "bad_value"),
        ],
        Subject("sales_order", "SalesOrder", "SoldToParty", "net_value", "TransactionCurrency"),
    )
    entity = looked_up(blank_to_null("SalesOrganization"), settings.entity_by_sales_organization(), settings)
    orders = good.select(
        "ordinal",
        source_key="SalesOrder",
        source_version=millis("changed_at"),
        **place(entity, settings),
        changed_at="changed_at",
        is_deleted=pl.lit(False),
        number="SalesOrder",
        contract_number=blank_to_null("PurchaseOrderByCustomer"),
        customer_key=blank_to_null("SoldToParty"),
        net_value="net_value",
        currency=blank_to_null("TransactionCurrency"),
        order_date="order_date",
        requested_delivery="requested_delivery",
        credit_status="credit_status",
        delivery_block=blank_to_null("DeliveryBlockReason"),
        billing_block=blank_to_null("HeaderBillingBlockReason"),
        delivery_status="delivery_status",
        status=pl.when(pl.col("OverallSDDocumentRejectionSts") == "C").then(pl.lit("cancelled")).otherwise(pl.col("process")),
        etag=blank_to_null("etag"),
    )
    return mapped(rows, {"sales_order": orders}, drifted(bad, rows), "sales_order")


def map_billing(body: bytes, settings: Settings) -> Mapped:
    """A page of billing documents: invoices, and with a negative amount credit memos and cancellations."""
    return bills_of(*read_page(body), settings)


def bills_of(rows: Rows, protocol: Protocol, settings: Settings) -> Mapped:
    """As `map_billing`, of records that were read already, of one page or of several."""
    names = ("BillingDocument", "PayerParty", "SoldToParty", "Country", "BillingDocumentDate", "TotalGrossAmount", "TaxAmount",
             "TransactionCurrency", "SDDocumentCategory", "BillingDocumentIsCancelled", "CompanyCode", "AccountingDocument",
             "PaymentReference", "CustomerPaymentTerms", "FixedValueDate", "AdditionalValueDays", "DunningBlockingReason",
             "AccountingPostingStatus", "LastChangeDateTime")  # fmt: skip
    frame = text_frame(rows, names)
    negative = pl.col("SDDocumentCategory").is_in(NEGATIVE_CATEGORIES)
    frame = frame.with_columns(
        payer=pl.coalesce(blank_to_null("PayerParty"), blank_to_null("SoldToParty")),
        gross=_signed(to_amount("TotalGrossAmount"), negative),
        tax=_signed(to_amount("TaxAmount"), negative),
        changed_at=to_moment("LastChangeDateTime", protocol),
        issue_date=to_day("BillingDocumentDate", protocol),
        fixed=to_day("FixedValueDate", protocol),
        extra_days=pl.col("AdditionalValueDays").cast(pl.Int64, strict=False),
        order_number=pl.Series(first_texts(rows, _items_path(settings, protocol), "SalesDocument"), dtype=pl.String),
    )
    good, bad = settle(
        frame,
        [
            *reshaped(rows),
            required("BillingDocument"),
            *_stamped("LastChangeDateTime", "changed_at"),
            required("payer", "PayerParty"),
            required("BillingDocumentDate"),
            readable("BillingDocumentDate", "issue_date", "bad_date"),
            required("TotalGrossAmount"),
            readable("TotalGrossAmount", "gross", "bad_amount"),
            readable("TaxAmount", "tax", "bad_amount"),
            required("TransactionCurrency"),
        ],
        Subject("invoice", "BillingDocument", "payer", "gross", "TransactionCurrency"),
        evidence=names,
    )
    entity = looked_up(blank_to_null("CompanyCode"), settings.entity_by_company_code, settings)
    block = blank_to_null("DunningBlockingReason")
    disputed = block.is_in(settings.dispute_blocks) if settings.dispute_blocks else block.is_not_null()
    cancelled = to_flag("BillingDocumentIsCancelled") | (pl.col("SDDocumentCategory") == "N")
    credit = pl.col("SDDocumentCategory") == "O"
    # Pro forma documents are no receivables, and are not asked for: a host that heeds no condition gives them all the same.
    invoices = good.filter(pl.col("SDDocumentCategory").ne_missing(PROFORMA)).select(
        "ordinal",
        source_key="BillingDocument",
        source_version=millis("changed_at"),
        **place(entity, settings),
        changed_at="changed_at",
        is_deleted=pl.lit(False),
        number="BillingDocument",
        order_number="order_number",
        customer_key="payer",
        country=blank_to_null("Country"),
        issue_date="issue_date",
        posting_date="issue_date",
        due_date=_due_date(settings, immediate=negative),
        gross="gross",
        tax="tax",
        currency=blank_to_null("TransactionCurrency"),
        status=pl.when(cancelled).then(pl.lit("cancelled")).when(pl.col("AccountingPostingStatus") == "A").then(pl.lit("draft"))
        .otherwise(pl.lit("posted")),
        is_disputed=disputed.fill_null(False),
        dispute_reason=pl.when(disputed.fill_null(False)).then(block),
        is_credit=credit.fill_null(False),
        accounting_document=blank_to_null("AccountingDocument"),
        payment_reference=blank_to_null("PaymentReference"),
    )  # fmt: skip
    return mapped(rows, {"invoice": invoices}, drifted(bad, rows), "invoice")


def _due_date(settings: Settings, immediate: pl.Expr) -> pl.Expr:
    """The day on which a document falls due: its value date or its own date, plus the days of its terms. Null for terms that
    nobody explained; credits and cancellations are due at once.
    """
    start = pl.coalesce("fixed", "issue_date")
    days = terms_days(blank_to_null("CustomerPaymentTerms"), settings)
    offset = days + pl.when(pl.col("fixed").is_null()).then(pl.col("extra_days").fill_null(0)).otherwise(0)
    due = (start.cast(pl.Int64) + offset).cast(pl.Int32, strict=False).cast(pl.Date)
    return pl.when(immediate).then(pl.col("issue_date")).otherwise(due)


def terms_days(code: pl.Expr, settings: Settings) -> pl.Expr:
    """Terms of payment as days, by the configured list and then by the pattern; null for what neither knows."""
    listed = code.replace_strict(settings.terms_days, default=None, return_dtype=pl.Int64) if settings.terms_days else None
    read = code.str.extract(settings.terms_pattern, 1).cast(pl.Int64, strict=False)
    return read if listed is None else pl.coalesce(listed, read)


def day_end(day: pl.Expr, zone: str, received_at: datetime) -> pl.Expr:
    """The last second of a day in `zone` as UTC; `received_at` where that is earlier or there is no day."""
    end = _zoned(day.cast(pl.Date).dt.combine(time(23, 59, 59), "us"), zone)
    received = pl.lit(received_at.astimezone(UTC), dtype=UTC_TIME)
    return pl.min_horizontal(end.fill_null(received), received)


def drifted(rejects: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """The rejects, where those of a field that no record of the page has any more are put down to schema drift."""
    if rejects.is_empty():
        return rejects
    gone = (pl.col("cause") == "missing_field") & ~pl.col("field").is_in(sorted(rows.members()))
    return rejects.with_columns(cause=pl.when(gone).then(pl.lit("schema_drift")).otherwise(pl.col("cause")))


def spoken(body: bytes) -> Protocol:
    """The protocol whose dates an envelope of ours holds: V2's are told by their form, which JSON may write with a backslash before."""
    return "v2" if b"/Date(" in body else "v4"


def read_page(body: bytes) -> tuple[Rows, Protocol]:
    found = listing(body)
    return decode(found.split.records), found.protocol


def beside(body: bytes, name: str) -> Rows:
    """The records that an envelope of ours holds under a name; none where it has none."""
    return decode(split(body, name).records if member(body, name) is not None else ())


def _annotation(rows: Rows, name: str, column: str) -> pl.DataFrame:
    """The texts of a member whose name has a dot in it, by their records' ordinals."""
    values = (rows.alike.column(name) or ()) if rows.alike is not None else [row.get(name) for row in rows.sound]
    found = [(ordinal, value) for ordinal, value in zip(rows.ordinals, values, strict=False) if isinstance(value, str)]
    return pl.DataFrame(found, schema={"ordinal": pl.Int64, column: pl.String}, orient="row")


def _items_path(settings: Settings, protocol: Protocol) -> str:
    """Where a bill's items are in its record, when they were asked for with it."""
    name = settings.address.navigation(BILLING.service, "to_Item")
    return f"{name}.results" if protocol == "v2" else name


def mapped(rows: Rows, frames: Mapping[str, pl.DataFrame], bad: pl.DataFrame, entity: str) -> Mapped:
    return Mapped(rows.total, frames, all_rejects(broken_rejects(rows, entity), bad), fields_seen=own_fields(rows))


def own_fields(rows: Rows) -> dict[str, str]:
    """The fields seen, without what the protocol adds."""
    return {name: kind for name, kind in fields_seen(rows).items() if name != "__metadata" and not name.startswith("@")}


def _stamped(column: str, parsed: str) -> list[Rule]:
    return [required(column), readable(column, parsed, "bad_time")]


def _signed(amount: pl.Expr, negative: pl.Expr) -> pl.Expr:
    """The amount with the sign of its document category, whichever sign the host gives it."""
    return pl.when(negative.fill_null(False)).then(-amount.abs()).otherwise(amount)


def _coded(column: str, codes: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).str.strip_chars().replace_strict(codes, default=None, return_dtype=pl.String)


def millis(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("ms")


def looked_up(code: pl.Expr, entities: Mapping[str, str], settings: Settings) -> pl.Expr:
    """The legal entity of a code of the host's; the connection's one legal entity where the code says nothing."""
    return code.replace_strict(entities, default=settings.legal_entity, return_dtype=pl.String)


def place(entity: pl.Expr, settings: Settings) -> dict[str, pl.Expr]:
    """The columns legal_entity and region."""
    region = entity.replace_strict(settings.region_by_entity, default=settings.region, return_dtype=pl.String)
    return {"legal_entity": entity, "region": region}


def local(day: pl.Expr, millis: pl.Expr, zone: str) -> pl.Expr:
    """A day and the milliseconds since its midnight in `zone` as UTC."""
    return _zoned(day.cast(pl.Datetime("us")) + pl.duration(milliseconds=millis.fill_null(0)), zone)


def _zoned(local: pl.Expr, zone: str) -> pl.Expr:
    """A time of `zone` as UTC. SAP repeats no hour and skips none in what it stamps: a doubled hour is its later one, a skipped
    one, which can only be an artefact of a date, is null.
    """
    return local.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")

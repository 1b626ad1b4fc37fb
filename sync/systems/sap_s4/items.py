"""Accounting items of customers -> payments, their application to invoices, and ledger lines. Pure and vectorised.

Invoices belong to the billing documents; an item never makes one. A payment document's item that names an invoice (InvoiceReference)
is that invoice's application. An invoice's item that is cleared is settled in full: whatever payments naming it don't explain
(a clearing without reference, a cancellation against its original) is an application of its own, keyed by the invoice's item.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
import polars as pl

from sync.ports import GONE_SCHEMA, Mapped
from sync.systems.sap_s4.mapping import day_end, drifted, own_fields, place, spoken
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import ITEMS, to_amount, to_day
from sync.wire_frames import (
    Subject,
    all_rejects,
    blank_to_null,
    broken_rejects,
    decode,
    readable,
    required,
    reshaped,
    settle,
    split,
    text_frame,
    to_flag,
)
from sync.wire_rows import member

AMOUNT = pl.Decimal(19, 4)
NO_YEAR = "0000"
"""How a year of digits is written that says nothing."""
_DAYS = {
    "posted_on": "PostingDate",
    "documented_on": "DocumentDate",
    "valued_on": "ValueDate",
    "changed_on": "LastChangeDate",
    "created_on": "AccountingDocumentCreationDate",
    "cleared_on": "ClearingDate",
    "clearing_made_on": "ClearingCreationDate",
}


class Beside(msgspec.Struct):
    """What the source knows beside a page's items. `invoices`: accounting document -> billing document, for every reference.
    `paid`: accounting document -> what payments that name it have paid so far, as decimal text. `whole`: a read that begins anew, as
    the first one does.
    """

    invoices: dict[str, str]
    paid: dict[str, str]
    whole: bool = False


_NOTHING_BESIDE = b'{"invoices": {}, "paid": {}}'


def document(company: str, year: str, number: str) -> str:
    """An accounting document's key."""
    return f"{company}/{year}/{number}"


def map_items(body: bytes, settings: Settings, received_at: datetime) -> Mapped:
    """A page of items, whole payment documents together, as the source has put it together with what it looked up beside."""
    rows, protocol = decode(split(body, "items").records), spoken(body)
    beside = msgspec.json.decode(member(body, "beside") or _NOTHING_BESIDE, type=Beside)
    frame = text_frame(rows, (*ITEMS.needed, *ITEMS.wanted))
    frame = frame.with_columns(
        amount=to_amount("AmountInTransactionCurrency"),
        doc=pl.concat_str("CompanyCode", "FiscalYear", "AccountingDocument", separator="/"),
        key=pl.concat_str("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem", separator="/"),
        billing=blank_to_null("BillingDocument"),
        **{column: to_day(name, protocol) for column, name in _DAYS.items()},
    ).with_columns(
        amount=signed_by_code(),
        stamp=pl.max_horizontal("changed_on", "created_on", "clearing_made_on", "posted_on"),
        # A clearing may be taken back and leave no stamp at all: were it part of the version, what it was before could not come back.
        version=pl.max_horizontal("changed_on", "created_on", "posted_on"),
        reversed=to_flag("IsReversed"),
        reversal=to_flag("IsReversal"),
        cleared=to_flag("IsCleared") | (pl.col("cleared_on").is_not_null() & ~to_flag("ClearingIsReversed")),
        refers_to=_referred(),
    )
    good, bad = settle(
        frame,
        [
            *reshaped(rows),
            *(required(name) for name in ("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem")),
            required("Customer"),
            required("AmountInTransactionCurrency"),
            readable("AmountInTransactionCurrency", "amount", "bad_amount"),
            required("TransactionCurrency"),
            *(readable(name, column, "bad_date") for column, name in _DAYS.items()),
            required("stamp", "LastChangeDate"),
        ],
        Subject("gl_posting", "key", "Customer", "amount", "TransactionCurrency"),
        evidence=(*ITEMS.needed, *ITEMS.wanted),
    )
    entity = pl.col("CompanyCode").replace_strict(settings.entity_by_company_code, default=settings.legal_entity, return_dtype=pl.String)
    good = good.with_columns(**place(entity, settings), changed_at=day_end(pl.col("stamp"), settings.zone, received_at))
    shown, gone = _clearing(good, beside)
    applications = pl.concat([_referring(good, beside, settings), shown], how="diagonal").sort("ordinal", maintain_order=True)
    frames = {"payment": _payments(good, settings), "payment_application": applications, "gl_posting": _ledger(good)}
    rejects = all_rejects(broken_rejects(rows, "gl_posting"), drifted(bad, rows))
    return Mapped(rows.total, frames, rejects, fields_seen=own_fields(rows), gone=gone)


def signed_by_code() -> pl.Expr:
    """Debit positive, credit negative: by DebitCreditCode where the host gives the amount without its sign."""
    amount, code = pl.col("amount"), pl.col("DebitCreditCode")
    return pl.when(code == "H").then(-amount.abs()).when(code == "S").then(amount.abs()).otherwise(amount)


def _referred() -> pl.Expr:
    """The accounting document that an item names, or null; in the item's own year where the reference gives none."""
    number = blank_to_null("InvoiceReference")
    year = pl.coalesce(_year("InvoiceReferenceFiscalYear"), pl.col("FiscalYear"))
    return pl.concat_str(pl.col("CompanyCode"), year, number, separator="/")


def _year(column: str) -> pl.Expr:
    """A fiscal year; null where none is named."""
    return pl.when(pl.col(column).str.strip_chars() == NO_YEAR).then(None).otherwise(blank_to_null(column))


def _is_payment(settings: Settings) -> pl.Expr:
    """An item of a payment: neither a bill's nor a reversal's, with no special ledger (down payment requests are no money)."""
    special = blank_to_null("SpecialGLCode").is_null()
    kind = pl.col("AccountingDocumentType").is_null() | pl.col("AccountingDocumentType").is_in(settings.payment_types)
    return pl.col("billing").is_null() & ~pl.col("reversal") & special & kind


def _envelope(key: str | pl.Expr) -> list[pl.Expr]:
    source_key = pl.col(key) if isinstance(key, str) else key
    return [
        pl.col("ordinal"), source_key.alias("source_key"), pl.coalesce("version", "stamp").dt.epoch("d").cast(pl.Int64).alias("source_version"),
        pl.col("legal_entity"), pl.col("region"), pl.col("changed_at"),
    ]  # fmt: skip


def _referring(good: pl.DataFrame, beside: Beside, settings: Settings) -> pl.DataFrame:
    """Payment items that name an invoice: each is an application of its own, reversed with its payment."""
    invoice = pl.col("refers_to").replace_strict(beside.invoices, default=None, return_dtype=pl.String)
    held = good.filter(_is_payment(settings) & pl.col("refers_to").is_not_null()).with_columns(invoice=invoice)
    return held.filter(pl.col("invoice").is_not_null()).select(
        *_envelope("key"),
        is_deleted=pl.lit(False),
        invoice_key="invoice",
        payment_key="doc",
        customer_key=blank_to_null("Customer"),
        amount=(-pl.col("amount")).cast(AMOUNT),
        currency=blank_to_null("TransactionCurrency"),
        clearing_date=pl.coalesce("valued_on", "documented_on", "posted_on", "stamp"),
        is_reversed="reversed",
    )


def _clearing(good: pl.DataFrame, beside: Beside) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cleared items of bills: what the payments that name them leave unexplained was settled by the clearing itself. And what is gone."""
    paid = pl.col("doc").replace_strict(beside.paid, default="0", return_dtype=pl.String).cast(AMOUNT)
    held = good.filter(pl.col("billing").is_not_null()).with_columns(rest=(pl.col("amount") - paid).cast(AMOUNT))
    settled = pl.col("cleared") & (pl.col("rest") != 0)
    # A clearing that is taken back, or that a late payment explains, takes its application back. A first read has none to take, one that
    # begins anew may have: there only what is held is taken back.
    shown = held.filter(settled) if beside.whole else held
    gone = held.filter(~settled.fill_null(value=False)) if beside.whole else held.clear()
    clearing = pl.concat_str(
        pl.col("CompanyCode"),
        pl.coalesce(_year("ClearingDocFiscalYear"), pl.col("FiscalYear")),
        blank_to_null("ClearingAccountingDocument"),
        separator="/",
    )
    applications = shown.select(
        *_envelope("key"),
        is_deleted=~(pl.col("cleared") & (pl.col("rest") != 0)),
        invoice_key="billing",
        payment_key=clearing,
        customer_key=blank_to_null("Customer"),
        amount="rest",
        currency=blank_to_null("TransactionCurrency"),
        clearing_date=pl.coalesce("cleared_on", "clearing_made_on", "stamp"),
        is_reversed=pl.lit(False),
    )
    told = gone.select(*_envelope("key"), entity=pl.lit("payment_application")).select(GONE_SCHEMA.keys())
    return applications, told.cast(GONE_SCHEMA)  # type: ignore[arg-type]


def _payments(good: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """One payment per accounting document of payments: the sum of its customer items, returned when it was reversed."""
    held = good.filter(_is_payment(settings) & blank_to_null("Customer").is_not_null())
    summed = held.group_by("doc", maintain_order=True).agg(
        pl.col("ordinal").first(),
        pl.col("stamp").max(),
        pl.col("version").max(),
        pl.col("changed_at").max(),
        pl.col("legal_entity").first(),
        pl.col("region").first(),
        pl.col("DocumentReferenceID").first(),
        pl.col("PaymentReference").first(),
        pl.col("AccountingDocument").first(),
        pl.col("Customer").first(),
        pl.col("amount").sum().cast(AMOUNT),
        pl.col("TransactionCurrency").first(),
        pl.coalesce("valued_on", "documented_on", "posted_on").first().alias("value_date"),
        pl.col("HouseBankAccount").first(),
        pl.col("reversed").any(),
    )
    return summed.filter(pl.col("amount") < 0).select(
        *_envelope("doc"),
        is_deleted=pl.lit(False),
        reference=pl.coalesce(blank_to_null("DocumentReferenceID"), pl.col("AccountingDocument")),
        customer_key=blank_to_null("Customer"),
        amount=(-pl.col("amount")).cast(AMOUNT),
        currency=blank_to_null("TransactionCurrency"),
        value_date="value_date",
        bank_account=blank_to_null("HouseBankAccount"),
        status=pl.when("reversed").then(pl.lit("returned")).otherwise(pl.lit("settled")),
        end_to_end_id=blank_to_null("PaymentReference"),
    )


def _ledger(good: pl.DataFrame) -> pl.DataFrame:
    """Every item as a line of the customers' ledger, for reconciliation."""
    status = pl.when("reversed").then(pl.lit("reversed")).when("cleared").then(pl.lit("cleared")).otherwise(pl.lit("open"))
    return good.select(
        *_envelope("key"),
        is_deleted=pl.lit(False),
        document="doc",
        line="AccountingDocumentItem",
        account=pl.coalesce(blank_to_null("GLAccount"), blank_to_null("Customer"), pl.lit("D")),
        amount="amount",
        currency=blank_to_null("TransactionCurrency"),
        posting_date="posted_on",
        status=status,
    )

"""Journal lines -> canonical `gl_posting`. Pure and vectorised."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from sync.ports import Mapped
from sync.systems.sap_s4.items import signed_by_code
from sync.systems.sap_s4.mapping import drifted, own_fields, place, read_page
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import JOURNAL_NEEDED, JOURNAL_WANTED, to_amount, to_day, to_moment
from sync.wire_frames import (
    Subject,
    all_rejects,
    blank_to_null,
    broken_rejects,
    readable,
    required,
    reshaped,
    settle,
    text_frame,
    to_flag,
)

CUSTOMERS = "D"
"""The account type of customers' lines, which the accounting items tell."""


def map_journal(body: bytes, settings: Settings, received_at: datetime) -> Mapped:
    """A page of journal lines. A customer's line is left to the accounting items, and one of another ledger or company is none of ours:
    a host that heeds no condition gives them too.
    """
    rows, protocol = read_page(body)
    names = (*JOURNAL_NEEDED, *JOURNAL_WANTED)
    frame = text_frame(rows, names).with_columns(
        amount=to_amount("AmountInTransactionCurrency"),
        posted_on=to_day("PostingDate", protocol),
        cleared_on=to_day("ClearingDate", protocol),
        made_at=to_moment("CreationDateTime", protocol),
        last_at=to_moment("LastChangeDateTime", protocol),
        doc=pl.concat_str("CompanyCode", "FiscalYear", "AccountingDocument", separator="/"),
        key=pl.concat_str("Ledger", "CompanyCode", "FiscalYear", "AccountingDocument", "LedgerGLLineItem", separator="/"),
    )
    posted = pl.col("posted_on").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frame = frame.with_columns(amount=signed_by_code(), stamp=pl.coalesce(pl.max_horizontal("made_at", "last_at"), posted))
    good, bad = settle(
        frame,
        [
            *reshaped(rows),
            *(required(name) for name in ("Ledger", "CompanyCode", "FiscalYear", "AccountingDocument", "LedgerGLLineItem", "GLAccount")),
            required("AmountInTransactionCurrency"),
            readable("AmountInTransactionCurrency", "amount", "bad_amount"),
            required("TransactionCurrency"),
            readable("PostingDate", "posted_on", "bad_date"),
            readable("CreationDateTime", "made_at", "bad_time"),
            readable("LastChangeDateTime", "last_at", "bad_time"),
            required("stamp", "PostingDate"),
        ],
        Subject("gl_posting", "key", None, "amount", "TransactionCurrency"),
        evidence=names,
    )
    entity = pl.col("CompanyCode").replace_strict(settings.entity_by_company_code, default=settings.legal_entity, return_dtype=pl.String)
    status = (
        pl.when(to_flag("IsReversed")).then(pl.lit("reversed"))
        .when(to_flag("IsReversal")).then(pl.lit("reversal"))
        .when(pl.col("cleared_on").is_not_null()).then(pl.lit("cleared"))
        .otherwise(pl.lit("posted"))
    )  # fmt: skip
    received = pl.lit(received_at.astimezone(UTC), dtype=pl.Datetime("us", "UTC"))
    ours = pl.col("FinancialAccountType").ne_missing(CUSTOMERS)
    for column, wanted in (("Ledger", settings.ledgers), ("CompanyCode", settings.company_codes)):
        ours &= pl.col(column).is_in(wanted) | pl.col(column).is_null() if wanted else pl.lit(value=True)
    lines = good.filter(ours).select(
        "ordinal",
        source_key="key",
        source_version=pl.col("stamp").dt.epoch("ms"),
        **place(entity, settings),
        changed_at=pl.min_horizontal("stamp", received),
        is_deleted=pl.lit(False),
        document="doc",
        line="LedgerGLLineItem",
        account=blank_to_null("GLAccount"),
        amount="amount",
        currency=blank_to_null("TransactionCurrency"),
        posting_date="posted_on",
        status=status,
    )
    rejects = all_rejects(broken_rejects(rows, "gl_posting"), drifted(bad, rows))
    return Mapped(rows.total, {"gl_posting": lines}, rejects, fields_seen=own_fields(rows))

"""Invoices with what was paid on them, money received and payments in canonical words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from sync.canonical.contracts import Invoice, OutgoingPayment, Payment, PaymentApplication
from sync.ports import Mapped
from sync.systems.tryton.given import ENVELOPE, Given, coded, no_longer, party
from sync.systems.tryton.settlement import Application, Unreadable, applications, due_date
from sync.wire_frames import (
    ORDINAL,
    Rule,
    Subject,
    blank_to_null,
    first_texts,
    known_currency,
    readable,
    required,
    settle,
    to_amount,
    to_date,
)

_INVOICE_STATES = {"posted": "posted", "paid": "cleared", "cancelled": "cancelled"}
_OUTGOING = {"submitted": "requested", "approved": "approved", "processing": "approved", "succeeded": "executed", "failed": "failed"}
_INCOMING = {"submitted": "pending", "approved": "pending", "processing": "pending", "succeeded": "settled", "failed": "failed"}


def invoices(given: Given) -> Mapped:
    fields = {
        "number_text": "number", "state": "state", "party": "party", "party_id": "party.id", "currency": "currency.code", "invoice_date": "invoice_date",
        "accounting_date": "accounting_date", "total_amount": "total_amount", "tax_amount": "tax_amount", "amount_to_pay": "amount_to_pay",
        "move": "move.number", "cancel_move": "cancel_move.number", "payment_reference": "customer_payment_reference",
        "country": "invoice_address.country.code",
    }  # fmt: skip
    read = [_settled(row) for row in given.rows.sound]
    frame = given.frame(fields).with_columns(
        due_text=pl.Series([due for _, due, _ in read], dtype=pl.String),
        unreadable=pl.Series([why for _, _, why in read], dtype=pl.String),
        order_number=pl.Series(first_texts(given.rows, "sales", "number"), dtype=pl.String),
    )
    frame = frame.with_columns(
        number=blank_to_null("number_text"),
        customer_key=party(),
        country=blank_to_null("country"),
        issue_date=to_date("invoice_date"),
        posted_on=to_date("accounting_date"),
        due_date=to_date("due_text"),
        total=to_amount("total_amount"),
        taxed=to_amount("tax_amount"),
        left=to_amount("amount_to_pay"),
        status=coded("state", _INVOICE_STATES),
        cancelled_by=blank_to_null("cancel_move"),
        accounting_document=blank_to_null("move"),
        payment_reference=pl.coalesce(blank_to_null("payment_reference"), blank_to_null("number_text")),
    ).with_columns(
        posting_date=pl.coalesce("posted_on", "issue_date"),
        is_credit=pl.col("total") < 0,
        gross=pl.col("total").abs(),
        tax=pl.col("taxed").abs(),
        source_open=pl.col("left").abs(),
    )
    rules = [
        *given.base_rules(),
        required("number"),
        required("customer_key", "party"),
        readable("state", "status", "bad_value"),
        required("invoice_date"),
        *(readable(text, value, "bad_date") for text, value in (("invoice_date", "issue_date"), ("accounting_date", "posted_on"))),
        readable("due_text", "due_date", "bad_date", "lines_to_pay.maturity_date"),
        required("total_amount"),
        *(
            readable(text, value, "bad_amount")
            for text, value in (("total_amount", "total"), ("tax_amount", "taxed"), ("amount_to_pay", "left"))
        ),
        *known_currency("gross", "currency", "currency.code"),
        Rule("bad_amount", "lines_to_pay", pl.col("unreadable").is_not_null(), "what was paid can't be read"),
    ]
    good, bad = settle(frame, rules, Subject(Invoice.entity, "source_key", "customer_key", "gross", "currency"), [*fields, "unreadable"])
    own = (
        "number", "order_number", "customer_key", "country", "issue_date", "posting_date", "due_date", "gross", "tax", "currency",
        "source_open", "status", "is_credit", "cancelled_by", "accounting_document", "payment_reference",
    )  # fmt: skip
    applied, undone = _applied(good, dict(zip(given.rows.ordinals, (found for found, _, _ in read), strict=True)))
    frames = {Invoice.entity: good.select(ORDINAL, *ENVELOPE, *own), PaymentApplication.entity: applied}
    return given.mapped(frames, bad, Invoice.entity, undone)


def _settled(invoice: Mapping[str, Any]) -> tuple[list[Application], str | None, str | None]:
    """(its applications, when it is due, why it can't be read)."""
    try:
        return applications(invoice), due_date(invoice), None
    except Unreadable as error:
        return [], None, str(error)


def _applied(invoices: pl.DataFrame, found: Mapping[int, Sequence[Application]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the applications of these invoices, those that there are none of or no more)."""
    flat = [
        (ordinal, each.key, str(each.amount), each.on, each.payment_key)
        for ordinal in invoices[ORDINAL].to_list()
        for each in found[ordinal]
    ]
    schema = {ORDINAL: pl.Int64, "key": pl.String, "amount_text": pl.String, "on": pl.String, "payment_key": pl.String}
    rows = invoices.rename({"source_key": "invoice_key"}).join(pl.DataFrame(flat, schema=schema, orient="row"), on=ORDINAL)
    rows = rows.with_columns(
        source_key=pl.col("key"), amount=to_amount("amount_text"), clearing_date=pl.coalesce(to_date("on"), "issue_date")
    )
    own = ("invoice_key", "payment_key", "customer_key", "amount", "currency", "clearing_date")
    return rows.filter(pl.col("amount") != 0).select(ORDINAL, *ENVELOPE, *own), no_longer(
        rows.filter(pl.col("amount") == 0), PaymentApplication.entity
    )


def receipts(given: Given) -> Mapped:
    fields = {
        "move": "move.number", "said": "description", "used": "move_description_used", "party": "party", "party_id": "party.id", "credit": "credit",
        "foreign": "amount_second_currency", "foreign_currency": "second_currency.code", "company_currency": "company.currency.code", "date": "date",
    }  # fmt: skip
    frame = given.frame(fields).with_columns(
        reference=pl.coalesce(blank_to_null("said"), blank_to_null("used"), blank_to_null("move")),
        customer_key=party(),
        value_date=to_date("date"),
        amount=pl.when(pl.col("foreign_currency").is_not_null()).then(to_amount("foreign").abs()).otherwise(to_amount("credit")),
        currency=pl.coalesce(blank_to_null("foreign_currency"), blank_to_null("company_currency")),
        status=pl.lit("settled"),
    )
    rules = [
        *given.base_rules(),
        required("credit"),
        Rule("bad_amount", "credit", pl.col("amount").is_null(), "the amount is not an exact amount"),
        *known_currency("amount", "currency", "second_currency.code"),
        required("date"),
        readable("date", "value_date", "bad_date"),
    ]
    good, bad = settle(frame, rules, Subject(Payment.entity, "source_key", "customer_key", "amount", "currency"), fields)
    own = ("reference", "customer_key", "amount", "currency", "value_date", "status")
    return given.mapped({Payment.entity: good.select(ORDINAL, *ENVELOPE, *own)}, bad, Payment.entity)


def payments(given: Given) -> Mapped:
    """Orders to pay are outgoing payments. What we collect ourselves is a payment of the customer until it succeeds: then the ledger has it."""
    fields = {
        "number": "number", "kind": "kind", "state": "state", "party": "party", "party_id": "party.id", "payee": "party.name", "amount_text": "amount",
        "currency": "currency.code", "date": "date", "reference": "reference", "submitter": "submitted_by.rec_name", "approver": "approved_by",
    }  # fmt: skip
    frame = given.frame(fields).with_columns(
        amount=to_amount("amount_text"),
        due_date=to_date("date"),
        outgoing=coded("state", _OUTGOING),
        incoming=coded("state", _INCOMING),
        requester=blank_to_null("submitter"),
        approvals=pl.col("approver").is_not_null().cast(pl.Int64),
        reference=pl.coalesce(blank_to_null("reference"), blank_to_null("number")),
        customer_key=party(),
    )
    rules = [
        *given.base_rules(),
        required("state"),
        readable("state", "outgoing", "bad_value"),
        Rule(
            "bad_value",
            "kind",
            ~pl.col("kind").is_in(["payable", "receivable"]).fill_null(value=False),
            "kind is neither payable nor receivable",
        ),
        required("amount_text", "amount"),
        readable("amount_text", "amount", "bad_amount", "amount"),
        *known_currency("amount", "currency", "currency.code"),
        readable("date", "due_date", "bad_date"),
    ]
    good, bad = settle(frame, rules, Subject(OutgoingPayment.entity, "source_key", "customer_key", "amount", "currency"), fields)
    paying = good.filter(pl.col("kind") == "payable").with_columns(status=pl.col("outgoing"))
    collecting = good.filter(pl.col("kind") == "receivable").with_columns(
        status=pl.col("incoming"), source_key=pl.format("collection {}", "source_key"), value_date=pl.col("due_date")
    )
    settled = pl.col("status") == "settled"
    frames = {
        OutgoingPayment.entity: paying.select(
            ORDINAL, *ENVELOPE, "payee", "amount", "currency", "due_date", "requester", "approvals", "status"
        ),
        Payment.entity: collecting.filter(~settled).select(
            ORDINAL, *ENVELOPE, "reference", "customer_key", "amount", "currency", "value_date", "status"
        ),
    }
    return given.mapped(frames, bad, OutgoingPayment.entity, no_longer(collecting.filter(settled), Payment.entity))

"""Parties, sales and opportunities in canonical words. Pure."""

from __future__ import annotations

import polars as pl

from sync.canonical.contracts import CreditLimit, Customer, Opportunity, Quote, SalesOrder
from sync.ports import Mapped
from sync.systems.tryton.given import ENVELOPE, Given, coded, no_longer, party
from sync.wire_frames import (
    ORDINAL,
    Rows,
    Rule,
    Subject,
    blank_to_null,
    known_currency,
    readable,
    required,
    settle,
    to_amount,
    to_date,
    to_number,
)

_ORDER_STATES = {"confirmed": "open", "processing": "in_process", "done": "complete", "cancelled": "cancelled"}
_SHIPPED = {"none": "not_relevant", "waiting": "open", "partially shipped": "partial", "sent": "complete", "exception": "partial"}
_BILLED = {
    "none": "open", "pending": "open", "awaiting payment": "complete", "partially paid": "complete", "paid": "complete", "exception": "partial",
}  # fmt: skip
_DEALS = {"lead": False, "opportunity": False, "converted": True, "won": True, "lost": True, "cancelled": True}
"""State of an opportunity -> whether it is closed."""


def parties(given: Given) -> Mapped:
    fields = {
        "code": "code", "name": "name", "active": "active", "replaced": "replaced_by", "limit_text": "credit_limit_amount",
        "currency": "currency.code",
    }  # fmt: skip
    frame = given.frame(fields).with_columns(
        country=pl.Series(_countries(given.rows), dtype=pl.String),
        number=blank_to_null("code"),
        erp_number=blank_to_null("code"),
        name=blank_to_null("name"),
        limit_amount=to_amount("limit_text"),
        # a party that was merged into another one is gone; one that is no longer active may not be sold to
        is_deleted=pl.col("replaced").is_not_null(),
        order_block=pl.col("active") == "false",
        legal_entity=pl.lit(None, pl.String),
    )
    frame = frame.with_columns(
        region=pl.col("country").replace_strict(given.settings.region_by_country, default=given.settings.region, return_dtype=pl.String)
    )
    rules = [*given.base_rules(), readable("limit_text", "limit_amount", "bad_amount", "credit_limit_amount"),
             *known_currency("limit_amount", "currency", "currency.code")]  # fmt: skip
    good, bad = settle(frame, rules, Subject(Customer.entity, "source_key", "source_key", "limit_amount", "currency"), fields)
    own = ("number", "name", "country", "erp_number", "order_block")
    limited = good.filter(pl.col("limit_amount").is_not_null())
    unlimited = good.filter(pl.col("limit_amount").is_null())
    entity = pl.lit(given.settings.legal_entity, pl.String).alias("legal_entity")
    frames = {
        Customer.entity: good.select(ORDINAL, *ENVELOPE, *own),
        CreditLimit.entity: limited.with_columns(entity, customer_key=pl.col("source_key")).select(
            ORDINAL, *ENVELOPE, "customer_key", "limit_amount", "currency"
        ),
    }
    return given.mapped(frames, bad, Customer.entity, no_longer(unlimited, CreditLimit.entity))


def _countries(rows: Rows) -> list[str | None]:
    """The country of each party's first address that has one."""
    found: list[str | None] = []
    for row in rows.sound:
        addresses = row.get("addresses")
        codes = [a["country"].get("code") for a in addresses if isinstance(a, dict) and isinstance(a.get("country"), dict)] if isinstance(
            addresses, list) else []  # fmt: skip
        found.append(next((code for code in codes if isinstance(code, str) and code), None))
    return found


def sales(given: Given) -> Mapped:
    """A sale is a quote from the beginning, and an order once it is confirmed."""
    fields = {
        "number_text": "number", "reference": "reference", "state": "state", "party": "party", "party_id": "party.id", "currency": "currency.code",
        "value_text": "untaxed_amount", "sale_date": "sale_date", "shipping_date": "shipping_date", "shipment_state": "shipment_state",
        "invoice_state": "invoice_state", "expires": "quotation_expire", "origin": "origin",
    }  # fmt: skip
    frame = given.frame(fields).with_columns(
        number=pl.coalesce(blank_to_null("number_text"), pl.format("draft {}", "id")),
        customer_key=party(),
        net_value=to_amount("value_text"),
        order_date=to_date("sale_date"),
        requested_delivery=to_date("shipping_date"),
        expires_on=to_date("expires"),
        delivery_status=coded("shipment_state", _SHIPPED),
        billing_status=coded("invoice_state", _BILLED),
        status=coded("state", _ORDER_STATES),
        opportunity_key=pl.col("origin").str.extract(r"^sale\.opportunity,(\d+)$", 1),
    )
    known_state = pl.col("state").is_in([*_ORDER_STATES, "draft", "quotation"])
    rules = [
        *given.base_rules(),
        required("state"),
        Rule("bad_value", "state", ~known_state, "state is not a known value"),
        Rule("missing_field", "party", pl.col("customer_key").is_null() & pl.col("status").is_not_null(), "party is empty"),
        readable("value_text", "net_value", "bad_amount", "untaxed_amount"),
        *known_currency("net_value", "currency", "currency.code"),
        readable("sale_date", "order_date", "bad_date"),
        readable("shipping_date", "requested_delivery", "bad_date"),
        readable("expires", "expires_on", "bad_date", "quotation_expire"),
    ]
    good, bad = settle(frame, rules, Subject(SalesOrder.entity, "source_key", "customer_key", "net_value", "currency"), fields)
    orders = good.filter(pl.col("status").is_not_null())
    own = (
        "number",
        "customer_key",
        "net_value",
        "currency",
        "order_date",
        "requested_delivery",
        "delivery_status",
        "billing_status",
        "status",
    )
    quotes = good.with_columns(status=pl.col("state"), amount=pl.col("net_value"))
    frames = {
        SalesOrder.entity: orders.select(ORDINAL, *ENVELOPE, *own),
        Quote.entity: quotes.select(
            ORDINAL, *ENVELOPE, "number", "opportunity_key", "customer_key", "status", "expires_on", "amount", "currency"
        ),
    }
    return given.mapped(frames, bad, SalesOrder.entity, no_longer(good.filter(pl.col("status").is_null()), SalesOrder.entity))


def opportunities(given: Given) -> Mapped:
    fields = {
        "number": "number", "said": "description", "party": "party", "party_id": "party.id", "state": "state", "amount_text": "amount", "currency_text": "currency.code",
        "end_date": "end_date", "share": "conversion_probability",
    }  # fmt: skip
    frame = (
        given.frame(fields)
        .with_columns(
            name=pl.coalesce(blank_to_null("said"), blank_to_null("number")),
            customer_key=party(),
            stage=blank_to_null("state"),
            amount=to_amount("amount_text"),
            currency=blank_to_null("currency_text"),
            close_date=to_date("end_date"),
            probability=to_number("share", 8) * 100,
            is_closed=pl.col("state").replace_strict(_DEALS, default=None, return_dtype=pl.Boolean),
            is_won=pl.col("state").is_in(["converted", "won"]),
        )
        .with_columns(probability=pl.col("probability").cast(pl.Decimal(18, 8), strict=False))
    )
    rules = [
        *given.base_rules(),
        required("state"),
        readable("amount_text", "amount", "bad_amount", "amount"),
        *known_currency("amount", "currency", "currency.code"),
        readable("end_date", "close_date", "bad_date"),
        readable("share", "probability", "bad_value", "conversion_probability"),
    ]
    good, bad = settle(frame, rules, Subject(Opportunity.entity, "source_key", "customer_key", "amount", "currency"), fields)
    own = ("name", "customer_key", "stage", "amount", "currency", "close_date", "probability", "is_closed", "is_won")
    frame = good.with_columns(is_closed=pl.col("is_closed").fill_null(value=False)).select(ORDINAL, *ENVELOPE, *own)
    return given.mapped({Opportunity.entity: frame}, bad, Opportunity.entity)

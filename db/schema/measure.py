"""Read models: what the pages read instead of scanning facts. All of it can be rebuilt from `canonical`."""

from __future__ import annotations

import sqlalchemy as sa

from db.schema.base import amount, big, currency, day, document, flag, identity, metadata, share, text, when, whole
from db.schema.base import figure as figure_value


def _table(name: str, *parts: sa.schema.SchemaItem, rls: bool = True) -> sa.Table:
    return sa.Table(name, metadata, *parts, schema="measure", info={"rls": rls})


touched = _table(
    "touched",
    text("kind"),  # invoice | customer | forecast | stream
    text("source"),
    text("key"),
    when("marked_at"),
    rls=False,
)
"""Marks, only ever added, so that no two writers wait for each other; whoever takes them brings repeats down to one."""

invoice_fact = _table(
    "invoice_fact",
    text("source"),
    text("source_key"),
    text("number"),
    text("customer_key"),
    text("customer_name", null=True),
    big("party_id", null=True),
    text("country", null=True),
    text("region"),
    text("legal_entity", null=True),
    currency(null=False),
    day("week", null=False),
    day("issue_date", null=False),
    day("due_date"),
    day("cleared_on"),
    amount("gross", null=False),
    amount("applied", null=False),
    amount("open_amount", null=False),
    amount("gross_reporting"),
    amount("open_reporting"),
    whole("days_to_pay"),
    flag("is_disputed"),
    flag("is_credit"),
    big("raw_record_id"),
    sa.PrimaryKeyConstraint("source", "source_key"),
    sa.Index("ix_invoice_fact_group", "week", "region", "legal_entity", "currency"),
    sa.Index("ix_invoice_fact_customer", "source", "customer_key"),
    sa.Index("ix_invoice_fact_party_id", "party_id"),
    sa.Index("ix_invoice_fact_open", "due_date", postgresql_where=sa.text("cleared_on is null")),
)

latency_rollup = _table(
    "latency_rollup",
    day("week", null=False),
    text("region"),
    text("legal_entity"),
    currency(null=False),
    whole("invoices", null=False),
    whole("cleared", null=False),
    whole("late", null=False),
    whole("disputed", null=False),
    amount("gross_reporting"),
    share("p50"),
    share("p90"),
    share("p95"),
    share("weighted_mean"),
    document("histogram"),  # days to pay -> count: merges over any set of groups
    when("computed_at"),
    sa.PrimaryKeyConstraint("week", "region", "legal_entity", "currency"),
)

exposure = _table(
    "exposure",
    sa.Column("party_id", sa.BigInteger, primary_key=True),
    text("region"),
    text("number", null=True),
    text("name", null=True),
    text("country", null=True),
    text("segment", null=True),
    currency(null=False),
    amount("open_orders", null=False),
    amount("open_deliveries", null=False),
    amount("unposted_billing", null=False),
    amount("open_receivables", null=False),
    amount("secured", null=False),
    amount("exposure", null=False),
    amount("undelivered_contracts", null=False),
    amount("overdue", null=False),
    amount("credit_limit"),
    share("utilisation"),
    text("limit_state"),  # valid | none | expired | zero | blocked
    whole("median_days_late"),
    when("computed_at"),
    sa.Index("ix_exposure_region", "region"),
)

breach = _table(
    "breach",
    identity(),
    big("party_id"),
    text("region"),
    when("opened_at"),
    when("cleared_at", null=True),
    currency(null=False),
    amount("limit_amount"),
    amount("peak", null=False),
    amount("latest", null=False),
    sa.Index("uq_breach_open", "party_id", unique=True, postgresql_where=sa.text("cleared_at is null")),
)

cash_position = _table(
    "cash_position",
    text("source"),
    text("account"),
    text("region"),
    text("legal_entity", null=True),
    currency(null=False),
    day("as_of_date", null=False),
    text("balance_type"),
    amount("amount", null=False),
    amount("amount_reporting"),
    when("recorded_at"),
    big("raw_record_id"),
    sa.PrimaryKeyConstraint("source", "account"),
)

forecast_run = _table(
    "forecast_run",
    identity(),
    when("made_at"),
    when("cut_off"),
    currency("reporting_currency", null=False),
    document("behaviour"),
    whole("items", null=False, default=0),
    rls=False,
)

forecast_line = _table(
    "forecast_line",
    big("run_id"),
    text("source"),
    text("item_key"),
    text("region"),
    text("legal_entity", null=True),
    text("category"),
    big("party_id", null=True),
    text("invoice_number", null=True),
    day("expected_date", null=False),
    day("early_date"),
    day("late_date"),
    amount("amount", null=False),
    currency(null=False),
    amount("amount_reporting"),
    text("confidence"),
    sa.PrimaryKeyConstraint("run_id", "source", "item_key"),
    sa.Index("ix_forecast_line_expected_date", "run_id", "expected_date"),
)

lag = _table(
    "lag",
    text("connection", key=True),
    text("stream", key=True),
    big("records"),
    share("p50"),  # seconds from the source's change to our commit, of records that came live
    share("p95"),
    share("longest"),
    when("computed_at"),
    rls=False,
)

figure = _table(
    "figure",
    text("slug"),
    text("dimension"),  # '' for the whole
    text("key"),
    text("region"),  # '*' rows are for those who see all regions
    day("on_date", null=False),
    figure_value("value"),
    text("unit"),
    big("count", null=True),
    text("why_missing", null=True),
    when("as_of"),
    when("oldest_feed", null=True),
    figure_value("sync_share"),
    when("computed_at"),
    sa.PrimaryKeyConstraint("slug", "dimension", "key", "region", "on_date"),
)

"""Business events, from the difference between a canonical row as it was and as it is now. Pure and vectorised.

One table of rules says which difference is which event. An event of a row that came with history is born `ignored`, so that no
rule runs again over two years; but what can still be acted on (an order that is blocked today) is born `new`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import polars as pl

from sync.canonical.checks import MOMENT

EVENT_SCHEMA: dict[str, pl.DataType] = {
    "type": pl.String(),
    "entity": pl.String(),
    "source": pl.String(),
    "source_key": pl.String(),
    "source_version": pl.Int64(),
    "region": pl.String(),
    "legal_entity": pl.String(),
    "occurred_at": MOMENT,
    "recorded_at": MOMENT,
    "objects": pl.List(pl.String()),
    "raw_record_id": pl.Int64(),
    "data": pl.String(),
    "state": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One event: `happened` is true on rows whose difference is it; `occurred` is the business moment.

    `objects` name what it touches. `actionable` is true where it still matters although the row came with history. `grain`: one
    event per distinct value of these columns instead of one per row.
    """

    type: str
    entity: str
    happened: pl.Expr
    objects: tuple[tuple[str, str], ...]
    occurred: pl.Expr
    data: tuple[str, ...] = ()
    actionable: pl.Expr | None = None
    grain: tuple[str, ...] = ()


NEW = pl.col("is_new")


def _was(column: str) -> pl.Expr:
    return pl.col(f"{column}_before")


def _became(column: str, value: str) -> pl.Expr:
    """The column holds `value` now and did not before."""
    return (pl.col(column) == value) & (NEW | _was(column).is_null() | (_was(column) != value))


def _turned(condition: pl.Expr, before: pl.Expr) -> pl.Expr:
    return condition.fill_null(value=False) & (NEW | ~before.fill_null(value=False))


def _differs(*columns: str) -> pl.Expr:
    return pl.any_horizontal([pl.col(column).ne_missing(_was(column)) for column in columns])


def _day(column: str) -> pl.Expr:
    """The business date as a moment: the source's own stamp where it falls on that day, else the day's beginning (UTC)."""
    stamped = pl.col("changed_at").dt.date() == pl.col(column)
    start = pl.col(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.when(stamped).then(pl.col("changed_at")).otherwise(pl.coalesce(start, pl.col("changed_at")))


CHANGED = pl.col("changed_at")


def _blocked(suffix: str = "") -> pl.Expr:
    block, credit = pl.col(f"delivery_block{suffix}"), pl.col(f"credit_status{suffix}")
    return (block.is_not_null() & (block != "")).fill_null(value=False) | (credit == "blocked").fill_null(value=False)


_OPEN_ORDER = ~pl.col("status").is_in(["complete", "cancelled"]).fill_null(value=False)
_CUSTOMER = ("customer", "customer_key")
_CONTRACT = (("contract", "number"), _CUSTOMER)
_ORDER = (("order", "number"), ("contract", "contract_number"), _CUSTOMER)
_INVOICE = (("invoice", "number"), ("order", "order_number"), _CUSTOMER)
_PAYMENT = (("payment", "source_key"), _CUSTOMER)
_MONEY = ("amount", "currency")
_RECEIVED = pl.coalesce(pl.col("received_at"), _day("value_date"))

RULES: tuple[Rule, ...] = (
    Rule("quote.created", "quote", NEW, (("quote", "number"), _CUSTOMER), CHANGED, _MONEY),
    Rule(
        "contract.approved",
        "contract",
        _became("status", "activated"),
        _CONTRACT,
        pl.coalesce(pl.col("approved_at"), CHANGED),
        ("number", "value", "currency"),
    ),
    Rule("order.created", "sales_order", NEW, _ORDER, _day("order_date"), ("number", "net_value", "currency")),
    Rule(
        "order.blocked",
        "sales_order",
        _turned(_blocked() & _OPEN_ORDER, _blocked("_before")),
        _ORDER,
        CHANGED,
        ("number", "contract_number", "net_value", "currency", "delivery_block"),
        actionable=_blocked() & _OPEN_ORDER,
    ),
    Rule(
        "order.released",
        "sales_order",
        ~NEW & _blocked("_before") & ~_blocked() & (pl.col("status").is_null() | (pl.col("status") != "cancelled")),
        _ORDER,
        pl.coalesce(pl.col("released_at"), CHANGED),
        ("number", "contract_number"),
    ),
    Rule(
        "delivery.issued",
        "delivery",
        _turned(pl.col("goods_issued_on").is_not_null(), _was("goods_issued_on").is_not_null()),
        (("delivery", "number"), ("order", "order_key"), _CUSTOMER),
        _day("goods_issued_on"),
        ("value", "currency"),
    ),
    Rule(
        "invoice.posted",
        "invoice",
        _turned(pl.col("status").is_in(["posted", "cleared"]), _was("status").is_in(["posted", "cleared", "cancelled"])),
        _INVOICE,
        _day("posting_date"),
        ("number", "gross", "currency"),
    ),
    Rule(
        "invoice.disputed",
        "invoice",
        _turned(pl.col("is_disputed"), _was("is_disputed")),
        _INVOICE,
        CHANGED,
        ("number", "dispute_reason"),
    ),
    Rule("invoice.cancelled", "invoice", _became("status", "cancelled"), _INVOICE, CHANGED, ("number", "cancelled_by")),
    Rule("payment.received", "payment", _became("status", "settled"), _PAYMENT, _RECEIVED, (*_MONEY, "reference")),
    Rule("payment.failed", "payment", _became("status", "failed"), _PAYMENT, CHANGED, (*_MONEY, "reason")),
    Rule("payment.returned", "payment", _became("status", "returned"), _PAYMENT, CHANGED, (*_MONEY, "reason")),
    Rule(
        "payment.applied",
        "payment_application",
        _turned(~pl.col("is_reversed"), ~_was("is_reversed")),
        (("invoice", "invoice_key"), ("payment", "payment_key"), _CUSTOMER),
        _day("clearing_date"),
        _MONEY,
    ),
    Rule(
        "credit_limit.changed",
        "credit_limit",
        NEW | _differs("limit_amount", "currency", "valid_to", "secured_amount", "is_blocked"),
        (_CUSTOMER,),
        CHANGED,
        ("limit_amount", "currency", "is_blocked"),
    ),
    Rule(
        "cash_position.refreshed",
        "bank_balance",
        NEW | _differs("amount"),
        (("account", "account"),),
        CHANGED,
        ("account", "as_of_date"),
        grain=("account", "as_of_date"),
    ),
    Rule("forecast.published", "forecast_item", NEW, (("forecast", "run"),), pl.col("made_at"), ("run",), grain=("run",)),
    Rule(
        "collection_status.changed",
        "collection_status",
        NEW | _differs("level", "status", "amount_overdue"),
        (_CUSTOMER,),
        CHANGED,
        ("level", "status", "amount_overdue", "currency"),
    ),
    *(
        Rule(
            f"outgoing_payment.{status}",
            "outgoing_payment",
            _became("status", status),
            (("outgoing_payment", "source_key"),),
            CHANGED,
            _MONEY,
        )
        for status in ("requested", "approved", "rejected", "executed")
    ),
)


def diff(entity: str, after: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The events between `before` (old rows of changed keys) and `after` (current rows, new and changed): EVENT_SCHEMA rows.

    Both frames hold the canonical columns of `entity`, envelope included, of one source; `after` has one row per key. A deleted
    row makes no event.
    """
    rules = [rule for rule in RULES if rule.entity == entity]
    if not rules or after.is_empty():
        return pl.DataFrame(schema=EVENT_SCHEMA)
    used, schema, held = _used(entity), after.schema, before.schema
    now = after.select(name for name in schema if name in used)
    compared = [name.removesuffix("_before") for name in used if name.endswith("_before")]
    nothing = {name: pl.lit(None, dtype=schema[name]).alias(f"{name}_before") for name in compared}
    if before.is_empty():
        joined = now.with_columns(*nothing.values(), is_new=pl.lit(value=True))
    else:
        was = [pl.col(name).alias(f"{name}_before") if name in held else nothing[name] for name in compared]
        old = before.select("source_key", *was, is_new=pl.lit(value=False))
        joined = now.join(old, on="source_key", how="left", maintain_order="left").with_columns(pl.col("is_new").fill_null(value=True))
    alive = joined.filter(~pl.col("is_deleted"))
    return pl.concat([_of(rule, alive) for rule in rules])


@cache
def _used(entity: str) -> frozenset[str]:
    """The columns that the rules of `entity` look at, and those of old rows with `_before` behind their names."""
    names = {"source", "source_key", "source_version", "region", "legal_entity", "recorded_at", "raw_record_id", "backfilled", "is_deleted"}
    for rule in RULES:
        if rule.entity == entity:
            parts = [rule.happened, rule.occurred, *([rule.actionable] if rule.actionable is not None else [])]
            names |= {name for part in parts for name in part.meta.root_names()}
            names |= {column for _, column in rule.objects} | set(rule.data) | set(rule.grain)
    return frozenset(names - {"is_new"})


def _of(rule: Rule, joined: pl.DataFrame) -> pl.DataFrame:
    hits = joined.filter(rule.happened.fill_null(value=False))
    key = pl.col("source_key")
    if rule.grain:
        hits = hits.sort("source_version").unique(rule.grain, keep="last", maintain_order=True)
        key = pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in rule.grain], separator="|")
    actionable = pl.lit(value=False) if rule.actionable is None else rule.actionable
    ignored = pl.col("backfilled") & ~actionable.fill_null(value=False)
    return hits.select(
        pl.lit(rule.type).alias("type"),
        pl.lit(rule.entity).alias("entity"),
        pl.col("source"),
        key.alias("source_key"),
        pl.col("source_version"),
        pl.col("region"),
        pl.col("legal_entity"),
        rule.occurred.cast(MOMENT).alias("occurred_at"),
        pl.col("recorded_at"),
        _objects(rule.objects, hits.columns).alias("objects"),
        pl.col("raw_record_id"),
        _data(rule.data).alias("data"),
        pl.when(ignored).then(pl.lit("ignored")).otherwise(pl.lit("new")).alias("state"),
    ).cast(EVENT_SCHEMA)  # type: ignore[arg-type]


def _objects(links: Sequence[tuple[str, str]], columns: Sequence[str]) -> pl.Expr:
    """`invoice:90001234`, `order:512`, `customer:<source>:<key>`: a link whose column is null is left out."""
    parts = []
    for kind, column in links:
        if column not in columns:
            continue
        value = pl.col(column)
        text = pl.format("customer:{}:{}", pl.col("source"), value) if kind == "customer" else pl.format(f"{kind}:{{}}", value)
        parts.append(pl.when(value.is_not_null() & (value != "")).then(text))
    return pl.concat_list(parts).list.drop_nulls()


def _data(columns: Sequence[str]) -> pl.Expr:
    """The named columns as a JSON object; amounts and dates as text, so that nothing is rounded on the way."""
    if not columns:
        return pl.lit("{}")
    plain = [pl.when(pl.col(name).cast(pl.String).is_not_null()).then(pl.col(name).cast(pl.String)).alias(name) for name in columns]
    return pl.struct(plain).struct.json_encode()

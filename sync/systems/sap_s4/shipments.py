"""Deliveries -> canonical `delivery`: which order each serves, what of it is not yet billed, and when the goods left. Pure and vectorised.

The delivery service knows no amounts. An item is worth its share of the order item that it serves, by quantity; where that can't be
said of one item (another unit, an order item that is not there), the delivery has no value, and the order's own is used instead.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from db.money import AMOUNT
from sync.ports import Mapped
from sync.systems.sap_s4.mapping import beside, day_end, drifted, looked_up, own_fields, place, spoken
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import DELIVERIES, ORDER_ITEMS, plainly, to_day
from sync.wire_frames import (
    Rows,
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
    to_number,
)

_DAYS = {"issued_on": "ActualGoodsMovementDate", "changed_on": "LastChangeDate", "created_on": "CreationDate"}
_ITEM = DELIVERIES.expand[0][1]
_RETURNS = "T"


def map_deliveries(body: bytes, settings: Settings, received_at: datetime) -> Mapped:
    """A page of deliveries with the order items beside them. Stamps are days: one ends in the host's zone, never after `received_at`."""
    rows, protocol = decode(split(body, "deliveries").records), spoken(body)
    names = (*DELIVERIES.needed, *DELIVERIES.wanted)
    frame = text_frame(rows, names).with_columns(**{column: to_day(name, protocol) for column, name in _DAYS.items()})
    # The day the goods left may be any day, and be taken back: what the delivery is of is known by its own stamps.
    frame = frame.with_columns(stamp=pl.coalesce(pl.max_horizontal("changed_on", "created_on"), "issued_on"))
    good, bad = settle(
        frame,
        [
            *reshaped(rows),
            required("DeliveryDocument"),
            *(readable(name, column, "bad_date") for column, name in _DAYS.items()),
            required("stamp", "CreationDate"),
        ],
        Subject("delivery", "DeliveryDocument", "SoldToParty"),
        evidence=names,
    )
    parts = _parts(_items(rows, settings), _order_items(body))
    # One row for each order that a delivery serves: the first has the delivery's own number as its key, so that it never changes.
    joined = good.filter(pl.col("SDDocumentCategory").ne_missing(_RETURNS)).join(parts, on="ordinal", how="left", maintain_order="left")
    joined = joined.with_columns(part=pl.int_range(pl.len()).over("ordinal"))
    billed = pl.coalesce(pl.col("billed"), blank_to_null("OverallDelivReltdBillgStatus") == "C").fill_null(value=False)
    key = pl.when(pl.col("part") == 0).then("DeliveryDocument").otherwise(pl.concat_str("DeliveryDocument", "order_key", separator="/"))
    entity = looked_up(blank_to_null("SalesOrganization"), settings.entity_by_sales_organization(), settings)
    deliveries = joined.select(
        "ordinal",
        source_key=key,
        source_version=pl.col("stamp").dt.epoch("d").cast(pl.Int64),
        **place(entity, settings),
        changed_at=day_end(pl.col("stamp"), settings.zone, received_at),
        is_deleted=pl.lit(False),
        number="DeliveryDocument",
        order_key="order_key",
        customer_key=blank_to_null("SoldToParty"),
        goods_issued_on="issued_on",
        value=pl.when(billed).then("whole").otherwise("open"),
        currency="currency",
        is_invoiced=billed,
    )
    rejects = all_rejects(broken_rejects(rows, "delivery"), drifted(bad, rows))
    return Mapped(rows.total, {"delivery": deliveries}, rejects, fields_seen=own_fields(rows))


def _items(rows: Rows, settings: Settings) -> pl.DataFrame:
    """One row per delivery item that names an order: the ordinal of its delivery and its own members as text."""
    name = settings.address.navigation(DELIVERIES.service, "to_DeliveryDocumentItem")
    held: dict[str, list[Any]] = {"ordinal": [], **{field: [] for field in _ITEM}}
    for ordinal, row in zip(rows.ordinals, rows.sound, strict=True):
        nested = row.get(name)
        items = nested.get("results") if isinstance(nested, dict) else nested
        for item in items if isinstance(items, list) else ():
            if not isinstance(item, dict) or not item.get("ReferenceSDDocument"):
                continue
            held["ordinal"].append(ordinal)
            for field in _ITEM:
                value = item.get(field)
                held[field].append(None if value is None else str(value))
    return pl.DataFrame(held, schema={"ordinal": pl.Int64, **dict.fromkeys(_ITEM, pl.String)})


def _order_items(body: bytes) -> pl.DataFrame:
    frame = (
        text_frame(beside(body, "order_items"), ORDER_ITEMS.needed).drop("ordinal").unique(("SalesOrder", "SalesOrderItem"), keep="last")
    )
    return frame.with_columns(item=_number_of("SalesOrderItem"))


def _parts(items: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """Per delivery and order: what its items are worth (`whole`), what of it is not billed (`open`), and whether all of it is."""
    plain = {name: plainly(name) for name in ("RequestedQuantity", "NetAmount")}
    known = items.with_columns(plainly("ActualDeliveryQuantity"), item=_number_of("ReferenceSDDocumentItem")).join(
        orders.with_columns(**plain),
        left_on=("ReferenceSDDocument", "item"),
        right_on=("SalesOrder", "item"),
        how="left",
        maintain_order="left",
    )
    shipped, ordered = to_number("ActualDeliveryQuantity"), to_number("RequestedQuantity")
    comparable = (ordered > 0) & (
        pl.col("DeliveryQuantityUnit").eq_missing(pl.col("RequestedQuantityUnit")) | pl.col("DeliveryQuantityUnit").is_null()
    )
    net = to_number("NetAmount", 4)
    share = pl.when(shipped == ordered).then(net).when(comparable).then((net * shipped / ordered).round(2))
    known = known.with_columns(worth=share.cast(AMOUNT, strict=False), done=pl.col("DeliveryRelatedBillingStatus") == "C")
    rest = pl.when(pl.col("done").fill_null(value=False)).then(pl.lit(0, AMOUNT)).otherwise(pl.col("worth"))
    complete = pl.col("worth").is_not_null().all()
    return (
        known.with_columns(rest=rest)
        .group_by("ordinal", "ReferenceSDDocument", maintain_order=True)
        .agg(
            whole=pl.when(complete).then(pl.col("worth").sum().cast(AMOUNT)),
            open=pl.when(complete).then(pl.col("rest").sum().cast(AMOUNT)),
            billed=pl.when(pl.col("done").is_not_null().any()).then(pl.col("done").all()),
            currency=blank_to_null("TransactionCurrency").first(),
        )
        .rename({"ReferenceSDDocument": "order_key"})
        .sort("ordinal", "order_key", maintain_order=True)
        .with_columns(currency=pl.when(pl.col("whole").is_not_null()).then("currency"))
    )


def _number_of(column: str) -> pl.Expr:
    """An item's number without its leading zeros: the two services pad it differently."""
    return pl.col(column).str.strip_chars().str.strip_chars_start("0")

"""Cash & forecast: will there be enough, and why were we wrong?"""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from app import state
from app.charts import cash as charts
from app.charts import told
from app.desk import Cash, CashFilter, Desk
from app.widgets import filters, frame, links, records, tables, tiles
from app.widgets.tables import Column

_BY = {"currency": "Currency", "legal_entity": "Legal entity", "account": "Account"}
_QUIET = {"displayModeBar": False}


def render(desk: Desk) -> None:
    """Position, thirteen weeks ahead, and the bridge from forecast to actual with the share of synchronisation delay."""
    frame.head(desk, "Cash & forecast", "Will there be enough, and why were we wrong?")
    query = state.cash(st.query_params.to_dict())
    seen = frame.ask(lambda: desk.cash(query, frame.known_at()), of="Cash and forecast")
    if seen is None:
        return
    frame.as_of(seen.as_of, currency=seen.currency, rate_date=seen.rate_date, settling=seen.settling, more=seen.notes)
    _filters(desk, seen)
    tiles.row(seen.figures, on="cash", columns=4)
    if seen.positions.is_empty() and seen.fan.is_empty():
        frame.empty("No balance has arrived yet.", "Run the treasury and bank connections on the Connections page, or clear the filters.")
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        _position(seen)
    with right:
        _fan(seen)
    _bridge(seen, query)
    _accuracy(seen)
    records.show(desk)


def _filters(desk: Desk, seen: Cash) -> None:
    regions = sorted(set(seen.positions["region"].drop_nulls().to_list()) | set(desk.person.regions or ()))
    with st.container(horizontal=True, vertical_alignment="bottom", key="cash.filters"):
        filters.choose_many("Region", "region", regions, key="cash.region")
        filters.choose("Legal entity", "entity", sorted(seen.positions["legal_entity"].drop_nulls().unique().to_list()), key="cash.entity")
        filters.choose("Currency", "currency", sorted(seen.positions["currency"].drop_nulls().unique().to_list()), key="cash.currency")
        filters.clear(("region", "entity", "currency", "cause"), key="cash.clear")


def _position(seen: Cash) -> None:
    by = st.query_params.get("by", "currency")
    by = by if by in _BY else "currency"
    frame.section(f"Cash position by {_BY[by].lower()}, {seen.currency}", "Closing booked balances, converted")
    filters.switch("By", "by", tuple(_BY), key="cash.by", default="currency", words=lambda name: _BY[name])
    if seen.positions.is_empty():
        frame.empty("No account fits.", "Clear the filters.")
        return
    st.plotly_chart(
        charts.positions(seen.positions, frame.colours(), by=by, currency=seen.currency),
        key="cash.positions",
        theme=None,
        config=_QUIET,
        alt=told.positions(seen.positions, by=by, currency=seen.currency),
    )
    tables.of_chart(seen.positions, {
        "account": Column("Account"), "legal_entity": Column("Entity"), "region": Column("Region"), "currency": Column("Currency"), "amount": Column("Balance", "money"),
        "amount_reporting": Column(seen.currency, "money", currency=seen.currency), "as_of_date": Column("Value date", "date"), "balance_type": Column("Balance"), "source": Column("Source"),
    }, key="cash.positions.table", name="cash positions")  # fmt: skip


def _fan(seen: Cash) -> None:
    frame.section(
        f"Forecast of the cash position, 13 weeks, {seen.currency}",
        "p50 dashed, p10 to p90 hatched; solid line: the minimum that must be held",
    )
    if seen.fan.is_empty():
        frame.empty("There is no forecast yet.", "It is made once balances and open receivables have arrived.")
        return
    st.plotly_chart(
        charts.fan(seen.fan, frame.colours(), currency=seen.currency),
        key="cash.fan",
        theme=None,
        config=_QUIET,
        alt=told.fan(seen.fan, currency=seen.currency),
    )
    tables.of_chart(seen.fan, {"week": Column("Week of", "date"), **{name: Column(name, "money", currency=seen.currency) for name in ("p10", "p50", "p90")},
                               "minimum": Column("Minimum", "money", currency=seen.currency)}, key="cash.fan.table", name="cash forecast")  # fmt: skip


def _bridge(seen: Cash, query: CashFilter) -> None:
    window = f", {seen.window[0].isoformat()} to {seen.window[1].isoformat()}" if seen.window else ""
    frame.section(f"Why actual cash differed from forecast, {seen.currency}{window}",
                  "Forecast hatched, actual solid. The crossed bar is what late data did. Click a bar for its items.")  # fmt: skip
    if seen.bridge.is_empty():
        frame.empty("There is nothing to compare yet.", "The first forecast needs a full week behind it.")
        return
    key = f"cash.bridge.{query.cause or 'none'}"
    st.plotly_chart(charts.bridge(seen.bridge, frame.colours(), currency=seen.currency, chosen=query.cause), key=key, theme=None, config=_QUIET,
                    on_select=lambda: _pick_cause(key, seen.bridge), selection_mode="points", alt=told.bridge(seen.bridge, currency=seen.currency))  # fmt: skip
    tables.of_chart(seen.bridge, {"step": Column("Step"), "amount": Column("Amount", "money", currency=seen.currency), "kind": Column("Kind")},
                    key="cash.bridge.table", name="variance bridge")  # fmt: skip
    if query.cause:
        _items(seen, query.cause)


def _pick_cause(key: str, bridge: pl.DataFrame) -> None:
    kept = st.session_state.get(key)
    points = kept["selection"]["points"] if kept else []
    causes = set(bridge.filter(pl.col("kind") != "total")["step"].to_list())
    if points and points[0].get("x") in causes:
        links.set_params({"cause": str(points[0]["x"])})


def _items(seen: Cash, cause: str) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**Items behind {cause if cause.replace(' ', '').isalnum() else 'this bar'}**", width="content")
        st.button("Close", key="cash.cause.close", type="tertiary", on_click=links.set_params, args=({"cause": None},))
    if seen.bridge_items.is_empty():
        frame.empty(
            "No single item stands behind this bar.", "It may be the rest of many small differences; the table above has the amount."
        )
        return
    tables.show(seen.bridge_items, {
        "number": Column("Number"), "customer": Column("Customer", width="medium"), "expected": Column("Expected", "date"), "actual": Column("Actual", "date"),
        "amount": Column(f"Amount, {seen.currency}", "money", currency=seen.currency), "connection": Column("Connection"), "late_by": Column("Late by", width="medium"),
    }, key="cash.items", name=f"items behind {cause}", on_pick=_pick_item)  # fmt: skip


def _pick_item(row: dict[str, Any]) -> None:
    record = row.get("raw_record_id")
    links.set_params({records.PARAM: str(record) if record is not None else None})


def _accuracy(seen: Cash) -> None:
    if seen.accuracy.is_empty():
        return
    frame.section(
        "Forecast error by horizon", "WAPE: absolute error over actuals. Bias above zero: forecast too high. Inflows and outflows apart."
    )
    shown = seen.accuracy.with_columns(flow=pl.when(pl.col("inflow")).then(pl.lit("inflows")).otherwise(pl.lit("outflows")))
    tables.show(shown, {"horizon": Column("Horizon"), "flow": Column("Flow"), "wape": Column("WAPE", "share"), "bias": Column("Bias", "share")},
                key="cash.accuracy", name="forecast accuracy")  # fmt: skip

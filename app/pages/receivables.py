"""Receivables: how fast do invoices become cash, and who is slow?"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.charts import receivables as charts
from app.charts import told
from app.desk import Desk, Receivables, ReceivablesFilter
from app.widgets import filters, frame, links, records, tables, tiles
from app.widgets.tables import Column

_WORDS = {"region": "Region", "legal_entity": "Legal entity", "customer": "Customer", "country": "Country", "currency": "Currency"}
_PARAM_OF = {"region": "region", "legal_entity": "entity", "customer": "customer"}
_FILTERS = ("region", "entity", "customer", "week")
_CHART = "receivables.cohorts"


def render(desk: Desk) -> None:
    """Latency by cohort week, who is slow, aging, and the invoices behind what was clicked."""
    frame.head(desk, "Receivables", "How fast do invoices become cash, and who is slow?")
    query = state.receivables(st.query_params.to_dict())
    seen = frame.ask(lambda: desk.receivables(query, frame.known_at()), of="The receivables")
    if seen is None:
        return
    frame.as_of(seen.as_of, currency=seen.currency, rate_date=seen.rate_date, settling=seen.settling)
    _filters(seen)
    tiles.row(seen.figures, on="receivables", columns=4)
    if seen.cohorts.is_empty() and seen.breakdown.is_empty():
        frame.empty(
            "There are no invoices here yet.",
            "Clear the filters, or run the ERP connections on the Connections page; figures follow within a minute.",
        )
        return
    _latency(seen, query)
    if query.week or query.customer:
        _invoices(desk, query)
        records.show(desk)
    _who(seen, query)
    _amounts(seen)


def _filters(seen: Receivables) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="receivables.filters"):
        filters.choose_many("Region", "region", seen.regions, key="receivables.region")
        filters.choose_many("Legal entity", "entity", seen.legal_entities, key="receivables.entity")
        filters.words("Customer", "customer", key="receivables.customer", placeholder="Number or name")
        filters.clear(_FILTERS, key="receivables.clear")


def _latency(seen: Receivables, query: ReceivablesFilter) -> None:
    frame.section("Invoice-to-payment latency by week of issue, in days", "Hollow markers: less than 90 % of the week's invoices are cleared, the figure still moves. "
                  "Click a marker for its invoices.")  # fmt: skip
    view = filters.switch("View", "view", ("all", "p50", "p90", "p95"), key="receivables.view", default="all",
                          words=lambda name: "All invoices" if name == "all" else f"{name} by {_WORDS[query.dimension].lower()}")  # fmt: skip
    colours = frame.colours()
    figure = (
        charts.cohorts(seen.cohorts, colours, chosen=query.week)
        if view == "all"
        else charts.compare(seen.cohorts, colours, percentile=view)
    )
    key = f"{_CHART}.{view}.{query.week or 'none'}"
    st.plotly_chart(figure, key=key, theme=None, on_select=lambda: _pick_week(key), selection_mode="points", config={"displayModeBar": False},
                    alt=told.latency(seen.cohorts, view=view))  # fmt: skip
    tables.of_chart(seen.cohorts, {
        "group": Column("Group"), "week": Column("Week of", "date"), "p50": Column("p50, days", "days"), "p90": Column("p90, days", "days"), "p95": Column("p95, days", "days"),
        "invoices": Column("Invoices", "number"), "cleared": Column("Cleared", "number"), "settled_share": Column("Cleared share", "share"),
    }, key="receivables.cohorts.table", name="latency by cohort week")  # fmt: skip


def _pick_week(key: str) -> None:
    kept = st.session_state.get(key)
    points = kept["selection"]["points"] if kept else []
    if points:
        week = points[0].get("customdata") or points[0].get("x")
        links.set_params({"week": str(week[0] if isinstance(week, list) else week)[:10]})


def _who(seen: Receivables, query: ReceivablesFilter) -> None:
    words = _WORDS[query.dimension]
    frame.section(f"Latency and open amount by {words.lower()}", f"Amounts in {seen.currency}. Choose a row to narrow the page to it.")
    filters.switch("By", "by", state.DIMENSIONS, key="receivables.by", default="region", words=lambda name: _WORDS[name])
    tables.show(seen.breakdown, {
        "name": Column(words, width="medium"), "invoices": Column("Invoices", "number"), "p50": Column("p50, days", "days"), "p90": Column("p90, days", "days"),
        "p95": Column("p95, days", "days"), "late_share": Column("Late share", "share"), "open": Column("Open", "money", currency=seen.currency),
        "overdue": Column("Overdue", "money", currency=seen.currency),
    }, key=f"receivables.breakdown.{query.dimension}", name=f"receivables by {words}",
        on_pick=(lambda row: _narrow(query.dimension, row)) if query.dimension in _PARAM_OF else None)  # fmt: skip


def _narrow(dimension: str, row: dict[str, Any]) -> None:
    links.set_params({_PARAM_OF[dimension]: str(row["key"])})


def _amounts(seen: Receivables) -> None:
    left, right = st.columns(2, gap="large")
    colours = frame.colours()
    with left:
        frame.section(f"Open receivables by days past due, {seen.currency}", "Hatched: disputed. Credits stand apart.")
        st.plotly_chart(
            charts.aging(seen.aging, colours, currency=seen.currency),
            key="receivables.aging",
            theme=None,
            config={"displayModeBar": False},
            alt=told.aging(seen.aging, currency=seen.currency),
        )
        tables.of_chart(seen.aging, {"bucket": Column("Days past due"), "amount": Column("Amount", "money", currency=seen.currency),
                                     "disputed": Column("Disputed", "money", currency=seen.currency), "count": Column("Items", "number")},
                        key="receivables.aging.table", name="aging")  # fmt: skip
    with right:
        frame.section("Share paid by day after issue, %", "Kaplan-Meier: invoices that are still open count too.")
        st.plotly_chart(
            charts.survival(seen.survival, colours),
            key="receivables.survival",
            theme=None,
            config={"displayModeBar": False},
            alt=told.survival(seen.survival),
        )
        tables.of_chart(seen.survival, {"day": Column("Day", "number"), "share_paid": Column("Of invoices", "share"), "share_amount_paid": Column("Of amount", "share")},
                        key="receivables.survival.table", name="share paid by day")  # fmt: skip


def _invoices(desk: Desk, query: ReceivablesFilter) -> None:
    found = frame.ask(lambda: desk.invoices(query, frame.known_at()), of="The invoices")
    what = " and ".join(
        part
        for part in (f"issued in the week of {query.week}" if query.week else "", f"of {query.customer}" if query.customer else "")
        if part
    )
    frame.section(f"Invoices {what}", "In the invoice's own currency. Choose a row for its journey.")
    if found is None:
        return
    if found.is_empty():
        frame.empty("No invoice fits.", "Widen the filter: clear the week, or take another customer.")
        return
    tables.show(found, {
        "number": Column("Invoice"), "customer": Column("Customer", width="medium"), "legal_entity": Column("Entity"), "issue_date": Column("Issued", "date"),
        "due_date": Column("Due", "date"), "cleared_on": Column("Cleared", "date"), "days_to_pay": Column("Days to pay", "number"), "gross": Column("Gross", "money"),
        "open_amount": Column("Open", "money"), "currency": Column("Currency"), "is_disputed": Column("Disputed", "yes_no"),
    }, key="receivables.invoices", name="invoices", on_pick=_choose_invoice)  # fmt: skip
    chosen = st.query_params.get("invoice")
    if chosen:
        with st.container(horizontal=True, vertical_alignment="center", key="receivables.invoice"):
            st.markdown(f"Invoice **{chosen if chosen.isalnum() else 'chosen'}**", width="content")
            links.link("journeys", "Open its journey", {"number": chosen})


def _choose_invoice(row: dict[str, Any]) -> None:
    record = row.get("raw_record_id")
    links.set_params({"invoice": str(row["number"]), records.PARAM: str(record) if record is not None else None})

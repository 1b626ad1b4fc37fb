"""Journeys: where is this deal?"""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from app import export
from app.charts import journeys as charts
from app.charts import told
from app.desk import Desk, Hop, Journey
from app.widgets import acts, filters, frame, links, orders, receipts, records, tables, words
from app.widgets.tables import Column

_ORDERS_SHOWN = 5


def render(desk: Desk) -> None:
    """Search by any number a person has; one transaction from quote to cash as hops in three clocks."""
    frame.head(desk, "Journeys", "Where is this deal?")
    receipts.show(desk)
    frame.as_of(frame.known_at() or desk.now())
    with st.container(width=560, key="journeys.search"):
        filters.words(
            "Quote, contract, order, delivery, invoice or payment number",
            "q",
            key="journeys.q",
            placeholder="Any number you have",
            width=560,
        )
    number = st.query_params.get("number")
    text = st.query_params.get("q", "").strip()
    if number:
        _journey(desk, number)
    elif text:
        _hits(desk, text)
    else:
        frame.empty(
            "No journey is chosen.",
            "Type a number or how it begins: of a quote, a contract, an order, a delivery, an invoice or a payment.",
        )
    records.show(desk)
    acts.show(desk)


def _hits(desk: Desk, text: str) -> None:
    found = frame.ask(lambda: desk.search(text), of="The search")
    if found is None:
        return
    if not found:
        frame.empty("Nothing has this number.", "Check the number, or look on Connections whether its source is late.")
        return
    data = pl.DataFrame(
        [(hit.number, hit.kind, hit.customer, words.instant(hit.when, frame.zone()), hit.amount.value if hit.amount else None, hit.amount.currency if hit.amount else None) for hit in found],
        schema={"number": pl.String, "kind": pl.String, "customer": pl.String, "when": pl.String, "amount": pl.Decimal(19, 4), "currency": pl.String}, orient="row",
    )  # fmt: skip
    frame.section("Found", "Choose a row for its journey")
    tables.show(data, {"number": Column("Number"), "kind": Column("What"), "customer": Column("Customer", width="medium"), "when": Column("When"),
                       "amount": Column("Amount", "money"), "currency": Column("Currency")}, key="journeys.hits", name="search", on_pick=_pick)  # fmt: skip
    if len(found) <= 5:
        with st.container(horizontal=True):
            for at, hit in enumerate(found):
                st.button(
                    words.plain(f"Open {hit.kind.lower()} {hit.number}"),
                    key=f"journeys.open.{at}",
                    on_click=links.set_params,
                    args=({"number": hit.number},),
                )


def _pick(row: dict[str, Any]) -> None:
    links.set_params({"number": str(row["number"])})


def _journey(desk: Desk, number: str) -> None:
    answer = frame.ask(lambda: (desk.journey(number, frame.known_at()),), of="The journey")
    st.button("Back to the search", key="journeys.back", on_click=links.set_params, args=({"number": None, records.PARAM: None},))
    if answer is None:
        return
    (seen,) = answer
    if seen is None:
        frame.empty("There is no journey for this number.", "It may not have arrived yet, or it lies in a region that is not yours.")
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(gap="small", width="content"):
            st.markdown(f"### {words.plain(seen.title)}")
            parts = [
                seen.customer,
                seen.region,
                words.amount(seen.amount) if seen.amount else None,
                f"slowest hop: {seen.slowest}" if seen.slowest else None,
            ]
            st.caption(words.plain(" · ".join(part for part in parts if part)))
        st.download_button("Save as OCEL 2.0", seen.ocel, file_name=export.file_name(["journey", seen.number], "json"), mime="application/json",
                           key="journeys.ocel", on_click="ignore")  # fmt: skip
    left, right = st.columns([3, 2], gap="large")
    with left:
        _timeline(seen)
    with right:
        frame.section(
            "Hours by hop, in three clocks",
            "Business: in a company's hands. Integration: from a system to Tidegate. People: waiting for a decision.",
        )
        st.plotly_chart(
            charts.clocks(seen.hops, frame.colours()),
            key="journeys.clocks",
            theme=None,
            config={"displayModeBar": False},
            alt=told.clocks(seen.hops),
        )
        _table(seen)
    _orders(desk, seen)


def _orders(desk: Desk, seen: Journey) -> None:
    if not seen.orders:
        return
    frame.section("Its orders", "How they stand, what may be asked of them, and what became of what was asked")
    for order in seen.orders[:_ORDERS_SHOWN]:
        orders.show(desk, order, on="journeys")
    if len(seen.orders) > _ORDERS_SHOWN:
        st.caption(f"and {len(seen.orders) - _ORDERS_SHOWN} more: search for an order's own number to see it.")


def _timeline(seen: Journey) -> None:
    frame.section("What happened", "Top to bottom, with what should have happened and has not")
    for at, hop in enumerate(seen.hops, start=1):
        with st.container(horizontal=True, vertical_alignment="center", key=f"{'gap' if hop.is_gap else 'hop'}-{at}"):
            with st.container(gap=None):
                st.markdown(f"**{at}\\. {words.plain(hop.name)}**" + (" (missing)" if hop.is_gap else ""))
                place = " ".join(part for part in (hop.object, f"in {hop.system}" if hop.system else None) if part)
                st.caption(words.plain(" · ".join(part for part in (place, hop.words, _times(hop)) if part)))
            if hop.raw_record_id is not None:
                st.button(
                    ":blue[Record]",
                    key=f"journeys.record.{at}",
                    type="tertiary",
                    on_click=links.set_params,
                    args=({records.PARAM: str(hop.raw_record_id)},),
                )


def _times(hop: Hop) -> str:
    if hop.occurred_at is None:
        return ""
    seen = f", seen here {words.instant(hop.recorded_at, frame.zone())}" if hop.recorded_at else ""
    return f"{words.instant(hop.occurred_at, frame.zone())}{seen}"


def _table(seen: Journey) -> None:
    data = pl.DataFrame(
        [(hop.name, hop.system, hop.object, words.instant(hop.occurred_at, frame.zone()), hop.business_seconds, hop.integration_seconds, hop.human_seconds, hop.is_gap) for hop in seen.hops],
        schema={"hop": pl.String, "system": pl.String, "object": pl.String, "when": pl.String, "business": pl.Float64, "integration": pl.Float64, "human": pl.Float64, "gap": pl.Boolean},
        orient="row",
    )  # fmt: skip
    tables.of_chart(data, {"hop": Column("Hop"), "system": Column("System"), "object": Column("Object"), "when": Column("When"), "business": Column("Business", "seconds"),
                           "integration": Column("Integration", "seconds"), "human": Column("People", "seconds"), "gap": Column("Missing", "yes_no")},
                    key="journeys.table", name=f"journey {seen.number}")  # fmt: skip

"""Exposure: who owes too much, and what did we decide?"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import streamlit as st

from app import state
from app.charts import exposure as charts
from app.charts import told
from app.desk import Case, Desk, Exposure, ExposureFilter, OrderKey
from app.widgets import acts, filters, frame, links, orders, receipts, tables, tiles, words
from app.widgets.tables import Column

_SHOWN = 5
_STATES = {"open": "warning", "approved": "good", "rejected": "bad", "obsolete": "unknown"}


def render(desk: Desk) -> None:
    """Utilisation against limits, breaches, held orders to decide, decisions with their inputs, and what-if."""
    frame.head(desk, "Exposure", "Who owes too much, and what did we decide?")
    receipts.show(desk)
    query = state.exposure(st.query_params.to_dict())
    seen = frame.ask(lambda: desk.exposure(query, frame.known_at()), of="The exposure")
    if seen is None:
        return
    frame.as_of(seen.as_of, currency=seen.currency, rate_date=seen.rate_date)
    with st.container(horizontal=True, vertical_alignment="bottom", key="exposure.filters"):
        regions = sorted(set(seen.customers["region"].drop_nulls().to_list()) | set(query.regions))
        filters.choose_many("Region", "region", regions, key="exposure.region")
        filters.tick("Above limit only", "breached", key="exposure.breached")
        filters.clear(("region", "breached", "party"), key="exposure.clear")
    tiles.row(seen.figures, on="exposure", columns=4)
    _cases(desk, seen.cases)
    if seen.customers.is_empty():
        frame.empty(
            "No customer has exposure here.",
            "Clear the filters, or run the ERP connections: credit accounts and open items make the exposure.",
        )
    else:
        left, right = st.columns([3, 2], gap="large")
        with left:
            _utilisation(seen, query)
        with right:
            _what_if(desk, seen, query)
    _breaches(seen)
    _decisions(desk, seen)
    acts.show(desk)


def _cases(desk: Desk, cases: Sequence[Case]) -> None:
    waiting = sorted((case for case in cases if case.state == "open"), key=lambda case: case.opened_at)
    asked = state.number(st.query_params.to_dict(), "case")
    everything = st.query_params.get("cases") == "all"
    chosen = [case for case in cases if case.id == asked]
    shown = chosen + [case for case in waiting if case.id != asked][: None if everything else _SHOWN - len(chosen)]
    frame.section("Orders and contracts held for a decision", f"{words.counted(len(waiting), 'open case')}, oldest first")
    if not waiting:
        frame.empty(
            "Nothing is held.",
            "Orders within policy are released by themselves; one beyond it will stand here with everything the rule saw.",
        )
    for case in shown:
        with st.container(border=True, key=f"case-{case.id}"):
            _case(desk, case, opened=case.id == asked)
    if len(waiting) > _SHOWN:
        label = f":blue[Show the {_SHOWN} oldest]" if everything else f":blue[Show all {len(waiting)}]"
        st.button(
            label, key="exposure.cases.all", type="tertiary", on_click=links.set_params, args=({"cases": None if everything else "all"},)
        )
    closed = [case for case in cases if case.state != "open"]
    if closed:
        with st.expander(f"Cases that are closed, {len(closed)}", key="exposure.cases.closed"):
            _closed(closed)


def _closed(cases: Sequence[Case]) -> None:
    data = pl.DataFrame(
        [
            (case.id, case.title, case.customer, case.region, case.amount.value if case.amount else None, case.amount.currency if case.amount else None,
             case.state, case.closed_by, case.closed_at, case.reason)
            for case in cases
        ],
        schema={"id": pl.Int64, "title": pl.String, "customer": pl.String, "region": pl.String, "amount": pl.Decimal(19, 4), "currency": pl.String,
                "state": pl.String, "by": pl.String, "closed": pl.Datetime("us", "UTC"), "reason": pl.String},
        orient="row",
    )  # fmt: skip
    tables.show(data, {
        "title": Column("Case", width="medium"), "customer": Column("Customer", width="medium"), "region": Column("Region"), "amount": Column("Amount", "money"),
        "currency": Column("Currency"), "state": Column("State"), "by": Column("Closed by"), "closed": Column("Closed", "instant"), "reason": Column("Reason", width="large"),
    }, key="exposure.cases.table", name="closed cases", on_pick=_pick_case)  # fmt: skip


def _pick_case(row: dict[str, Any]) -> None:
    links.set_params({"case": str(row["id"])})


def _case(desk: Desk, case: Case, *, opened: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(gap=None):
            st.markdown(f"**{words.plain(case.title)}**, {words.plain(case.customer or 'customer not known')}")
            told = "; ".join(case.reasons)
            since = f"opened {words.instant(case.opened_at, frame.zone())}"
            asked = f" by {case.asked_by}" if case.asked_by else ""
            closed = f", {case.state} by {case.closed_by}: {case.reason}" if case.closed_by else ""
            st.caption(words.plain(f"{told} · {case.region} · {since}{asked}{closed}"))
        with st.container(width=170, key=f"money-case-{case.id}"):
            st.markdown(words.plain(words.amount(case.amount)))
        with st.container(width=100):
            frame.health(_STATES[case.state], case.state)
        if case.state == "open" and case.asked_by == desk.person.subject:
            st.caption("You asked for it: another person decides", width="content")
        elif case.state == "open" and state.may_act(desk.person):
            acts.button("Decide", "resolve_case", {"case_id": case.id}, key=f"exposure.case.{case.id}", title=f"Decide on {case.title}",
                        context={"words": "; ".join([*case.reasons, *case.effects]), "approve": case.approval})  # fmt: skip
    with st.expander("What was known" if case.asked_by else "What the rule saw", expanded=opened, key=f"exposure.case.{case.id}.inputs"):
        rule = {} if case.asked_by else {"rule": f"{case.rule}, version {case.rule_version}"}
        tables.facts({**case.inputs, **rule}, key=f"exposure.case.{case.id}.facts", alt=f"What was known of {case.title}")
        for effect in case.effects:
            st.caption(words.plain(effect))
    if opened and case.order is not None and case.state != "open":
        orders.show(desk, case.order, on=f"exposure.case.{case.id}")


def _utilisation(seen: Exposure, query: ExposureFilter) -> None:
    frame.section(f"Exposure against credit limit by customer, {seen.currency}", "Open orders, deliveries, unposted billing and open receivables, less what is secured. "
                  "The bar is the exposure, the mark across it the limit.")  # fmt: skip
    key = f"exposure.utilisation.{query.party or 'none'}"
    st.plotly_chart(charts.utilisation(seen.customers, frame.colours(), currency=seen.currency, chosen=query.party), key=key, theme=None,
                    config={"displayModeBar": False}, on_select=lambda: _pick_party(key), selection_mode="points", alt=told.utilisation(seen.customers))  # fmt: skip
    with st.expander("Show all customers as a table", key="exposure.customers.fold"):
        money = {name: Column(label, "money", currency=seen.currency) for name, label in (
            ("exposure", "Exposure"), ("credit_limit", "Limit"), ("overdue", "Overdue"), ("open_orders", "Open orders"),
            ("open_receivables", "Open receivables"), ("secured", "Secured"), ("undelivered_contracts", "Undelivered contracts"))}  # fmt: skip
        tables.show(seen.customers, {"number": Column("Number"), "name": Column("Customer", width="medium"), "region": Column("Region"), "exposure": money.pop("exposure"),
                                     "credit_limit": money.pop("credit_limit"), "utilisation": Column("Used", "share"), "limit_state": Column("State"), **money},
                    key="exposure.customers", name="exposure by customer", on_pick=_pick_customer)  # fmt: skip


def _pick_party(key: str) -> None:
    kept = st.session_state.get(key)
    points = kept["selection"]["points"] if kept else []
    if points and points[0].get("customdata") is not None:
        party = points[0]["customdata"]
        links.set_params({"party": str(party[0] if isinstance(party, list) else party)})


def _pick_customer(row: dict[str, Any]) -> None:
    links.set_params({"party": str(row["party_id"])})


def _what_if(desk: Desk, seen: Exposure, query: ExposureFilter) -> None:
    frame.section("What if a customer signs for more?", "Asks today's policy. Nothing is stored or sent.")
    names = dict(zip(seen.customers["party_id"].to_list(), seen.customers["name"].to_list(), strict=True))
    parties = list(names)
    with st.form("exposure.what_if", border=True):
        chosen = parties.index(query.party) if query.party in names else 0
        party = st.selectbox(
            "Customer", parties, index=chosen, format_func=lambda one: names[one], key=f"exposure.what_if.party.{query.party or 0}"
        )
        amount = st.number_input(f"Contract value, {seen.currency}", min_value=0, value=250_000, step=50_000, key="exposure.what_if.amount")
        asked = st.form_submit_button("Ask the policy", key="exposure.what_if.ask")
    if not asked or party is None:
        return
    answer = frame.ask(lambda: desk.what_if(party, Decimal(amount), seen.currency), of="The answer")
    if answer is not None:
        with st.container(border=True):
            frame.health(
                "good" if answer.outcome == "release" else "bad", "would be released" if answer.outcome == "release" else "would be held"
            )
            for reason in answer.reasons:
                st.markdown(words.plain(reason))
            both = {name: f"{answer.before.get(name, '–')} before, {after} after" for name, after in answer.after.items()}
            tables.facts(both, key="exposure.what_if.facts", alt="The figures before and after")


def _breaches(seen: Exposure) -> None:
    frame.section("Breach episodes", f"From the moment a limit was passed until exposure was back within it, {seen.currency}")
    if seen.breaches.is_empty():
        frame.empty("No limit has been passed.", "An episode opens by itself when a customer's exposure passes the limit.")
        return
    tables.show(seen.breaches, {
        "name": Column("Customer", width="medium"), "region": Column("Region"), "opened_at": Column("Opened", "instant"), "cleared_at": Column("Cleared", "instant"),
        "peak": Column("Peak", "money", currency=seen.currency), "latest": Column("Latest", "money", currency=seen.currency), "limit_amount": Column("Limit", "money", currency=seen.currency),
    }, key="exposure.breaches", name="breach episodes", on_pick=_pick_customer)  # fmt: skip


def _decisions(desk: Desk, seen: Exposure) -> None:
    frame.section(
        "Decisions",
        "By rule or by person, newest first, in the order's own currency. Choose a row for its order and what may be asked of it.",
    )
    if seen.decisions.is_empty():
        frame.empty("Nothing has been decided yet.", "The first contract that is activated in the CRM starts one.")
        return
    tables.show(seen.decisions, {
        "decided_at": Column("Decided", "instant"), "subject": Column("Subject"), "customer": Column("Customer", width="medium"), "region": Column("Region"),
        "outcome": Column("Outcome"), "decided_by": Column("By", width=90), "amount": Column("Amount", "money", width=116), "currency": Column("Currency"),
        "reasons": Column("Reasons", width="large"), "rule": Column("Rule"),
    }, key="exposure.decisions", name="decisions", on_pick=_pick_decision)  # fmt: skip
    order = state.order(st.query_params.to_dict())
    if order is not None:
        orders.show(desk, order, on="exposure")


def _pick_decision(row: dict[str, Any]) -> None:
    named = row["source"] is not None and row["order_key"] is not None
    links.set_params({state.ORDER: state.order_param(OrderKey(row["source"], row["order_key"])) if named else None})

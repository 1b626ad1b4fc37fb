"""A sales order that somebody may want changed: how it stands, what was asked of it and what became of that, and what to press."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import state
from app.desk import Desk, OrderKey, OrderRequest, SalesOrder
from app.widgets import acts, frame, words


def show(desk: Desk, order: OrderKey, *, on: str) -> None:
    """The order with its buttons, for who may press them. `on` names the page, so that keys stay apart."""
    seen = frame.ask(lambda: desk.order(order), of="The order")
    if seen is None:
        return
    key = f"{on}.order.{seen.number}"
    with st.container(border=True, key=f"{on}-order-{seen.number}"):
        _head(desk, seen, key)
        if all(one.settled for one in seen.requests):
            _requests(seen.requests)
            return

        @st.fragment(run_every=frame.LIVE_SECONDS)
        def live() -> None:
            latest = frame.ask(lambda: frame.fresh(desk).order(order), of="The order")
            if latest is not None:
                _requests(latest.requests)
                if all(one.settled for one in latest.requests):
                    st.rerun()

        live()


def _head(desk: Desk, seen: SalesOrder, key: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(gap=None):
            st.markdown(f"**{words.plain(f'Order {seen.number}')}**, {words.plain(seen.customer or 'customer not known')}")
            st.caption(words.plain(f"{seen.order.source} · {seen.region} · {seen.state} · {words.amount(seen.amount)}"))
        if not state.may_act(desk.person) or frame.known_at():
            return
        for change in seen.changes:
            acts.button(
                change.label,
                "request_order_change",
                {"source": seen.order.source, "order": seen.order.key, "change": change.kind},
                key=f"{key}.{change.kind}",
                title=f"Order {seen.number}: {change.label.lower()}",
            )
    if not seen.changes:
        st.caption(words.plain(f"Nothing can be asked of it from here: {seen.order.source} takes no change of this order."))


def _requests(requests: Sequence[OrderRequest]) -> None:
    for one in requests:
        with st.container(horizontal=True, vertical_alignment="center", key=f"row-request-{one.case}"):
            with st.container(gap=None):
                st.markdown(words.plain(f"{one.words}: {one.outcome}"))
                st.caption(
                    words.plain(f"case {one.case}, asked by {one.asked_by} {words.instant(one.asked_at, frame.zone())}: {one.reason}")
                )
            frame.health(one.health, "over" if one.settled else "open")

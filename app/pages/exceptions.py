"""Exceptions: what broke, and what do I press?"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from app import state
from app.desk import Desk, ExceptionFilter, ExceptionGroup, ExceptionRow, Exceptions  # noqa: A004 - the field's own word
from app.pages import exception_detail
from app.widgets import acts, filters, frame, links, receipts, tables, words

PAGE_SIZE = 50
_FILTERS = ("state", "cause", "connection", "region", "entity", "fingerprint", "customer", "q", "owner")
_GROUPS_SHOWN = 6
_SEVERITY = {"critical": "bad", "high": "warning", "medium": "unknown", "low": "unknown"}
_TABLE = "exceptions.rows"


def render(desk: Desk) -> None:
    """The queue by cause and one by one; or, when the address names one, that exception."""
    params = st.query_params.to_dict()
    query = state.exceptions(params)
    chosen = state.number(params, "id")
    frame.head(desk, "Exceptions", "What broke, and what do I press?", can_look_back=False)
    receipts.show(desk)
    page = (state.number(params, "page") or 1) - 1
    seen = frame.ask(lambda: desk.exceptions(query, max(page, 0), PAGE_SIZE), of="The exceptions")
    if seen is None:
        return
    if chosen is not None:
        exception_detail.render(desk, chosen, [row.id for row in seen.rows])
    else:
        _queue(desk, seen, query)
    acts.show(desk)


def _queue(desk: Desk, seen: Exceptions, query: ExceptionFilter) -> None:
    money = f"{words.amount(seen.money)} at risk" if seen.money else "money at risk not known" if seen.total else "no money at risk"
    frame.as_of(seen.as_of, more=[f"{seen.total:,} in this view", money])
    _filters(seen, query)
    if seen.total == 0:
        if state.queue_is_filtered(st.query_params.to_dict()):
            frame.empty("No exception fits this filter.", "Clear the filters to see everything that is open.")
        else:
            frame.empty(
                "Nothing is waiting.",
                "Everything that arrived has passed. What can't pass will stand here with its cause and the money at risk.",
            )
        return
    if not query.fingerprint:
        _groups(desk, seen.groups)
    _rows(desk, seen, query)


def _filters(seen: Exceptions, query: ExceptionFilter) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="exceptions.filters"):
        filters.choose("State", "state", state.EXCEPTION_STATES[1:], key="exceptions.state", any_words="open")
        titles = {group.cause: group.title for group in seen.groups}
        filters.choose(
            "Cause", "cause", sorted(titles), key="exceptions.cause", words=lambda cause: titles.get(cause, cause.replace("_", " "))
        )
        filters.choose("Connection", "connection", sorted({group.connection for group in seen.groups}), key="exceptions.connection")
        filters.choose("Region", "region", sorted({row.region for row in seen.rows}), key="exceptions.region")
        filters.words("Search", "q", key="exceptions.q", placeholder="Number, customer or words")
        filters.clear(_FILTERS, key="exceptions.clear")
    if query.fingerprint and seen.groups:
        st.markdown(f"One group: **{words.plain(seen.groups[0].title)}**. {words.plain(seen.groups[0].hint)}")


def _groups(desk: Desk, groups: Sequence[ExceptionGroup]) -> None:
    frame.section("By cause", "Ranked by money at risk and time left")
    for at, group in enumerate(groups[:_GROUPS_SHOWN]):
        with st.container(horizontal=True, vertical_alignment="center", key=f"row-group-{at}"):
            with st.container(gap=None):
                st.markdown(f"**{words.plain(group.title)}**")
                due = f", {words.due(group.due_at, desk.now())}" if group.due_at else ""
                place = f"{group.connection}{', ' + group.entity.replace('_', ' ') if group.entity else ''}"
                st.caption(
                    words.plain(
                        f"{group.count:,} in {place} · since {words.ago(group.first_seen, desk.now()).removesuffix(' ago')}{due} · {group.hint}"
                    )
                )
            with st.container(width=96):
                frame.health(_SEVERITY.get(group.severity, "unknown"), group.severity)
            with st.container(width=170, key=f"money-group-{at}"):
                st.markdown(words.plain(words.amount(group.money)))
            st.button(":blue[Open]", key=f"exceptions.group.{at}", type="tertiary", on_click=links.set_params,
                      args=({"cause": group.cause, "connection": group.connection, "fingerprint": group.fingerprint},), kwargs={"drop": ("page",)})  # fmt: skip
    if len(groups) > _GROUPS_SHOWN:
        st.caption(f"and {len(groups) - _GROUPS_SHOWN} more causes: narrow with the filters above.")


def _rows(desk: Desk, seen: Exceptions, query: ExceptionFilter) -> None:
    frame.section(
        f"Exceptions, {seen.total:,} in this view",
        "Select some (with the keyboard: arrows and Shift+Space) and act on them; with none selected, an action takes all that the filter selects.",
    )
    data = as_frame(seen.rows)
    picked = [seen.rows[at].id for at in tables.chosen_rows(_TABLE) if at < len(seen.rows)]
    _actions(desk, seen, query, picked)
    st.dataframe(data.drop("id"), key=_TABLE, on_select="rerun", selection_mode="multi-row", hide_index=True, alt="Exceptions", placeholder="\u2013", column_config={
        "severity": "Severity", "title": st.column_config.TextColumn("Cause", width="medium"), "record": "Record", "customer": st.column_config.TextColumn("Customer", width=236),
        "amount": st.column_config.NumberColumn("Money at risk", format="%,.2f"), "currency": "Currency", "due": "Due", "state": st.column_config.TextColumn("State", width=112), "owner": st.column_config.TextColumn("Owner", width=128), "attempts": "Attempts",
        "connection": "Connection", "message": st.column_config.TextColumn("What happened", width="large"),
    })  # fmt: skip
    pages = -(-seen.total // PAGE_SIZE)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        tables.downloads(data, key="exceptions.page", name="exceptions of this page")
        if pages > 1:
            st.pagination(
                pages,
                default=seen.page + 1,
                key=f"exceptions.pages.{seen.page}.{pages}",
                on_change=_turn,
                args=(f"exceptions.pages.{seen.page}.{pages}",),
            )


def _turn(key: str) -> None:
    links.set_params({"page": str(st.session_state[key])})


def _actions(desk: Desk, seen: Exceptions, query: ExceptionFilter, picked: list[int]) -> None:
    total = len(picked) or seen.total
    what = f"{len(picked):,} selected" if picked else f"all {seen.total:,} of this filter"
    payload = {"ids": picked} if picked else {"filter": state.filter_payload(query)}
    with st.container(horizontal=True, vertical_alignment="center", key="exceptions.actions"):
        one = picked[0] if len(picked) == 1 else seen.rows[0].id if len(seen.rows) == 1 else None
        st.button(
            "Open",
            key="exceptions.open",
            shortcut="O",
            disabled=one is None,
            on_click=links.set_params,
            args=({"id": str(one)},),
            help="Select one to open it",
        )
        if state.may_act(desk.person):
            st.markdown(f"Act on **{what}**", width="content")
            acts.button(
                "Preview and replay",
                "replay_exceptions",
                payload,
                key="exceptions.replay",
                title=f"Replay {what}",
                total=total,
                shortcut="P",
                primary=True,
            )
            acts.button(
                "Acknowledge", "acknowledge", payload, key="exceptions.acknowledge", title=f"Acknowledge {what}", total=total, shortcut="A"
            )
            acts.button("Assign", "assign", payload, key="exceptions.assign", title=f"Assign {what}", total=total, shortcut="S")
            acts.button(
                "Dismiss", "dismiss", payload, key="exceptions.dismiss", title=f"Dismiss {what} until a day", total=total, shortcut="D"
            )


def as_frame(rows: Sequence[ExceptionRow]) -> pl.DataFrame:
    """The rows as a table; `due` in the viewer's zone."""
    zone = frame.zone()
    return pl.DataFrame(
        [
            (row.id, row.severity, row.title, row.source_key, row.customer, row.money.value if row.money else None, row.money.currency if row.money else None,
             words.instant(row.due_at, zone), row.state, row.owner, row.attempts, row.connection, row.message)
            for row in rows
        ],
        schema={"id": pl.Int64, "severity": pl.String, "title": pl.String, "record": pl.String, "customer": pl.String, "amount": pl.Decimal(19, 4), "currency": pl.String,
                "due": pl.String, "state": pl.String, "owner": pl.String, "attempts": pl.Int64, "connection": pl.String, "message": pl.String},
        orient="row",
    )  # fmt: skip

"""One exception: its cause, its evidence, its bytes, its history, and what to press."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from app import state
from app.desk import Desk, ExceptionDetail
from app.widgets import acts, frame, links, tables, words
from app.widgets.tables import Column

_TALL = 22
_SEVERITY = {"critical": "bad", "high": "warning", "medium": "unknown", "low": "unknown"}


def render(desk: Desk, chosen: int, listed: Sequence[int]) -> None:
    """The exception with number `chosen`; `listed` are the ones of the queue's page, to move along."""
    frame.as_of(desk.now())
    _moves(chosen, listed)
    seen = frame.ask(lambda: desk.exception(chosen), of="The exception")
    if seen is None:
        return
    _what(desk, seen)
    if state.may_act(desk.person) and seen.row.state != "resolved":
        _actions(seen)
    left, right = st.columns(2, gap="large")
    with left:
        frame.section("Evidence", "Why it can't pass")
        if seen.evidence:
            tables.facts(seen.evidence, key="exception.evidence", alt=f"Evidence of exception {chosen}")
        else:
            frame.empty("There is no more to it than its words above.", "The record as received stands beside.")
        _history(seen)
    with right:
        received = words.instant(seen.received_at, frame.zone())
        frame.section("Record as received", words.plain(f"{seen.page_name or 'no page'} · {received}"))
        for name, value in seen.corrected.items():
            st.markdown(f"Corrected since: {words.plain(name.replace('_', ' '))} is **{words.plain(value or 'empty')}**")
        if seen.record:
            st.code(seen.record, language=None, wrap_lines=True, height=520 if seen.record.count("\n") > _TALL else "content")
        else:
            frame.empty("No record stands behind this one.", "It concerns a whole file, a connection or a write; the evidence says which.")


def _moves(chosen: int, listed: Sequence[int]) -> None:
    before, after = state.neighbours(listed, chosen)
    with st.container(horizontal=True, vertical_alignment="center", key="exception.moves"):
        st.button("Back to the queue", key="exception.back", on_click=links.set_params, args=({"id": None},), shortcut="B")
        st.button(
            "Previous",
            key="exception.previous",
            disabled=before is None,
            on_click=links.set_params,
            args=({"id": str(before)},),
            shortcut="K",
        )
        st.button("Next", key="exception.next", disabled=after is None, on_click=links.set_params, args=({"id": str(after)},), shortcut="J")


def _what(desk: Desk, seen: ExceptionDetail) -> None:
    row = seen.row
    with st.container(border=True, key="exception-what"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{words.plain(row.title)}**", width="stretch")
            frame.health(_SEVERITY.get(row.severity, "unknown"), row.severity)
            frame.health({"resolved": "good", "regressed": "bad"}.get(row.state, "warning"), row.state)
        st.markdown(words.plain(row.message))
        if row.state != "resolved":
            st.caption(f"What to do: {words.plain(seen.hint)}")
        with st.grid(4, min_column_width=200):
            _fact("Money at risk", words.amount(row.money))
            _fact("Customer", row.customer or "not known")
            _fact("Record", f"{(row.entity or 'record').replace('_', ' ')} {row.source_key or 'without a key'}")
            _fact("Connection", f"{row.connection}, {row.region}")
            _fact("First seen", words.instant(row.first_seen, frame.zone()))
            _fact("Last seen", f"{words.ago(row.last_seen, desk.now())}, {words.counted(row.occurrences, 'time')} in all")
            waits = row.due_at and row.state != "resolved"
            _fact("Due", words.instant(row.due_at, frame.zone()) + (f", {words.due(row.due_at, desk.now())}" if waits else ""))
            _fact(
                "Attempts",
                f"{row.attempts}, next {words.instant(row.next_retry_at, frame.zone())}"
                if row.next_retry_at
                else f"{row.attempts}, none planned",
            )
            _fact("Owner", row.owner or "nobody has it")
            _fact("Fingerprint", row.fingerprint)
            if row.dismissed_until:
                _fact("Dismissed until", words.instant(row.dismissed_until, frame.zone()))
            if row.regressed_from:
                _fact("Came back after", row.regressed_from)
    if row.source_key:
        links.link("journeys", "Open its journey", {"q": row.source_key})


def _fact(name: str, value: str) -> None:
    with st.container(gap=None):
        st.caption(name)
        st.markdown(words.plain(value))


def _actions(seen: ExceptionDetail) -> None:
    row = seen.row
    ids = {"ids": [row.id]}
    what = f"exception {row.id}"
    with st.container(horizontal=True, vertical_alignment="center", key="exception.actions"):
        acts.button(
            "Preview and replay", "replay_exceptions", ids, key="exception.replay", title=f"Replay {what}", shortcut="P", primary=True
        )
        if seen.editable:
            acts.button("Edit and replay", "edit_and_replay", {"id": row.id}, key="exception.edit", title=f"Edit and replay {what}", shortcut="E",
                        context=dict(seen.editable))  # fmt: skip
        acts.button("Acknowledge", "acknowledge", ids, key="exception.acknowledge", title=f"Acknowledge {what}", shortcut="A")
        acts.button("Assign", "assign", ids, key="exception.assign", title=f"Assign {what}", shortcut="S")
        acts.button("Dismiss", "dismiss", ids, key="exception.dismiss", title=f"Dismiss {what} until a day", shortcut="D")


def _history(seen: ExceptionDetail) -> None:
    frame.section("History", "Who did what, when and why")
    if not seen.history:
        frame.empty("Nobody has touched it yet.", "Every act on it will stand here.")
        return
    data = pl.DataFrame(
        [(line.at, line.actor, line.action, line.reason, line.detail) for line in seen.history],
        schema={"at": pl.Datetime("us", "UTC"), "actor": pl.String, "action": pl.String, "reason": pl.String, "detail": pl.String}, orient="row",
    )  # fmt: skip
    tables.show(data, {"at": Column("When", "instant"), "actor": Column("Who"), "action": Column("What"), "reason": Column("Why"), "detail": Column("Detail")},
                key="exception.history", name=f"history of exception {seen.row.id}")  # fmt: skip

"""Forms that command something. The idempotency key is minted when the form opens, so a rerun or a double click sends once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import streamlit as st

from app import state
from app.desk import Desk, ExceptionFilter, Intent, OrderKey, Preview
from app.widgets import frame, links, words

_REASON_NEEDED = frozenset({"dismiss", "resolve_case", "request_order_change", "edit_and_replay", "pause", "backfill"})
_SUBMIT = {"replay_exceptions": "Replay", "acknowledge": "Acknowledge", "assign": "Assign", "dismiss": "Dismiss", "edit_and_replay": "Save and replay",
           "run_now": "Run now", "test_connection": "Test", "pause": "Pause", "resume": "Resume", "backfill": "Backfill",
           "request_order_change": "Ask for it"}  # fmt: skip


def button(label: str, form_kind: str, payload: Mapping[str, Any], *, key: str, title: str, total: int = 1, shortcut: str | None = None,
           primary: bool = False, disabled: bool = False, context: Mapping[str, str] | None = None, help: str | None = None) -> None:  # fmt: skip
    """A button that opens the form of a command. The whole page runs again, as the form stands outside the part that refreshes alone."""
    pressed = st.button(
        label, key=key, on_click=_open, args=(form_kind, dict(payload), title, total, dict(context or {})), shortcut=shortcut,
        type="primary" if primary else "secondary", disabled=disabled, help=help,
    )  # fmt: skip
    if pressed:
        st.rerun()


def show(desk: Desk) -> None:
    """The form that is open, if one is."""
    form = state.current_form(st.session_state)
    if form is not None and state.may_act(desk.person):
        st.dialog(form.title, width="large" if form.kind in ("replay_exceptions", "edit_and_replay") else "medium", on_dismiss=_close)(
            _form
        )(desk, form)


def _open(kind: str, payload: dict[str, Any], title: str, total: int, context: dict[str, str]) -> None:
    state.open_form(st.session_state, state.Form(kind, uuid.uuid4().hex, title, payload, total, context))


def _close() -> None:
    state.close_form(st.session_state)


def _form(desk: Desk, form: state.Form) -> None:
    if "words" in form.context:
        st.markdown(words.plain(form.context["words"]))
    payload = dict(form.payload)
    if form.kind == "replay_exceptions":
        payload |= _replay(desk, form)
    elif form.kind == "assign":
        payload["owner"] = st.text_input("Owner", desk.person.name, key="act.owner")
    elif form.kind == "dismiss":
        payload["until"] = _until(desk)
    elif form.kind == "edit_and_replay":
        payload["changes"] = _changes(form)
    elif form.kind == "request_order_change":
        _order(desk, form)
    needed = form.kind in _REASON_NEEDED
    reason = st.text_area(
        "Reason" if needed else "Reason (optional)", key="act.reason", height=80, help="Kept in the audit log with your name and the time"
    )
    if form.kind == "resolve_case":
        _decide(desk, form, payload, reason)
        return
    _send_row(desk, form, payload, reason, ready=_is_ready(form.kind, payload) and (bool(reason.strip()) or not needed))


def _send_row(desk: Desk, form: state.Form, payload: dict[str, Any], reason: str, *, ready: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="act.cancel"):
            _close()
            st.rerun()
        if st.button(_SUBMIT.get(form.kind, "Send"), key="act.submit", type="primary"):
            if ready:
                _send(desk, form, payload, reason)
            else:
                st.session_state["act.asked"] = form.key
    if st.session_state.get("act.asked") == form.key and not ready:
        st.warning("Fill in what is asked for first, the reason included.")


def _decide(desk: Desk, form: state.Form, payload: dict[str, Any], reason: str) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        approve = st.button(form.context.get("approve", "Approve"), key="act.approve", type="primary")
        reject = st.button("Reject", key="act.reject")
    if (approve or reject) and not reason.strip():
        st.warning("A decision needs a reason: it is kept with the case.")
    elif approve or reject:
        _send(desk, form, {**payload, "approve": approve}, reason)


def _send(desk: Desk, form: state.Form, payload: dict[str, Any], reason: str) -> None:
    receipt = frame.ask(lambda: frame.fresh(desk).submit(Intent(form.kind, form.key, payload, reason.strip() or None)), of="The command")
    if receipt is not None:
        _close()
        links.set_params({state.RECEIPT: str(receipt.command_id)})
        st.rerun()


def _replay(desk: Desk, form: state.Form) -> dict[str, Any]:
    query = ExceptionFilter(**form.payload["filter"]) if "filter" in form.payload else None
    seen = frame.ask(lambda: desk.preview(form.payload.get("ids", ()), query), of="The preview")
    if seen is not None:
        preview(seen)
    canary = st.checkbox(
        "Canary: 1, then 5, then 25, then the rest", value=form.total > 25, key="act.canary",
        help="Stops by itself when the same fault comes back",
    )  # fmt: skip
    return {"canary": canary}


def preview(seen: Preview) -> None:
    """What a replay would do, counted over the whole set and shown for some of it."""
    st.markdown(
        f"**{seen.total:,}** in the set: **{seen.would_land:,}** would land, **{seen.would_fail:,}** would fail again, "
        f"**{seen.already_applied:,}** already applied."
    )
    lines = [
        {
            "Record": line.subject,
            "What would happen": "nothing: already applied" if line.already_applied else line.would,
            "Moved on since": line.moved_on or "no",
            "Money": words.amount(line.money),
            "Idempotency key": line.idempotency_key or "\u2013",
        }
        for line in seen.lines
    ]
    if lines:
        st.dataframe(lines, hide_index=True, height="content", key="act.preview", alt="Preview of the replay")
        if seen.total > len(lines):
            st.caption(f"A sample of {len(lines)} of {seen.total:,}.")


def _order(desk: Desk, form: state.Form) -> None:
    """The order as it stands now, and what its ERP will be told."""
    seen = frame.ask(lambda: desk.order(OrderKey(form.payload["source"], form.payload["order"])), of="The order")
    if seen is None:
        return
    with st.grid(2, min_column_width=200):
        for name, value in (("Order", f"{seen.number} in {seen.order.source}"), ("Customer", seen.customer or "not known"),
                            ("Amount", words.amount(seen.amount)), ("Stands now", seen.state)):  # fmt: skip
            with st.container(gap=None):
                st.caption(name)
                st.markdown(words.plain(value))
    effect = next((change.effect for change in seen.changes if change.kind == form.payload["change"]), None)
    if effect is None:
        st.warning(
            words.plain(f"The order has changed since: {seen.order.source} takes this no more as it stands. The request will be refused.")
        )
        return
    st.markdown(words.plain(f"What will happen: {effect}"))
    st.caption("Nothing is written yet. This opens a case; another person has to approve it on Exposure, and only then is the ERP told.")


def _until(desk: Desk) -> str:
    zone = frame.zone()
    today = desk.now().astimezone(zone).date()
    proposed = today + timedelta(days=7)
    day = st.date_input("Dismissed until", proposed, format="YYYY-MM-DD", key="act.until", min_value=today + timedelta(days=1))
    st.caption("A new failure of the same kind comes back as its own exception, whatever is dismissed here.")
    return datetime.combine(day or proposed, time(0), zone).astimezone(UTC).isoformat()


def _changes(form: state.Form) -> dict[str, str]:
    changed = {}
    for name, value in form.context.items():
        if name == "words":
            continue
        new = st.text_input(name.replace("_", " "), value, key=f"act.edit.{name}")
        if new != value:
            changed[name] = new
    for name, new in changed.items():
        st.markdown(f"{words.plain(name.replace('_', ' '))}: ~~{words.plain(form.context[name])}~~ becomes **{words.plain(new)}**")
    if not changed:
        st.caption("Nothing is changed yet. The record as received stays as it is; the edited copy links to it.")
    return changed


def _is_ready(kind: str, payload: Mapping[str, Any]) -> bool:
    if kind == "assign":
        return bool(str(payload.get("owner", "")).strip())
    return bool(payload.get("changes")) if kind == "edit_and_replay" else True

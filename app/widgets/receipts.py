"""What became of a command, shown while it changes."""

from __future__ import annotations

import streamlit as st

from app import state
from app.desk import Desk, Receipt
from app.widgets import frame, links, words

_KINDS = {"replay_exceptions": "Replay", "acknowledge": "Acknowledgement", "assign": "Assignment", "dismiss": "Dismissal", "edit_and_replay": "Edit and replay",
          "resolve_case": "Decision on the case", "request_order_change": "Request for an order", "run_now": "Run",
          "test_connection": "Test", "pause": "Pause", "resume": "Resume", "backfill": "Backfill"}  # fmt: skip
_SECONDS = 2


def show(desk: Desk) -> None:
    """The receipt of the command that the address names; it refreshes alone until the command is over."""
    command_id = state.number(st.query_params.to_dict(), state.RECEIPT)
    if command_id is None:
        return
    slot = st.container(key="receipt-slot")
    with slot:
        found = frame.ask(lambda: desk.receipt(command_id), of="The receipt")
    if found is None:
        return
    if _is_over(found):
        with slot:
            _panel(found)
        return

    @st.fragment(run_every=_SECONDS)
    def live() -> None:
        latest = frame.ask(lambda: frame.fresh(desk).receipt(command_id), of="The receipt")
        if latest is None:
            return
        _panel(latest)
        if _is_over(latest):
            st.rerun()

    with slot:
        live()


def _is_over(receipt: Receipt) -> bool:
    return receipt.state in ("done", "failed")


def _panel(receipt: Receipt) -> None:
    name = _KINDS.get(receipt.kind, receipt.kind.replace("_", " "))
    with st.container(border=True, key="receipt-panel", gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(horizontal=True, vertical_alignment="center", width="content"):
                st.markdown(f"**{words.plain(name)}**, command {receipt.command_id}", width="content")
                frame.health(_health(receipt), receipt.state)
            if _is_over(receipt):
                st.button("Close", key="receipt.close", type="tertiary", on_click=links.set_params, args=({state.RECEIPT: None},))
        share = 1.0 if receipt.state == "done" else receipt.done / receipt.total if receipt.total else 0.0
        left = receipt.total - receipt.done
        st.progress(
            min(max(share, 0.0), 1.0), text=f"{receipt.done:,} of {receipt.total:,} done" + (f", {left:,} left" if left > 0 else "")
        )
        told = _told(receipt)
        if told:
            st.caption(words.plain(told))
        _findings(receipt)
        case = receipt.outcome.get("case")
        if case is not None:
            links.link("exposure", f"Open case {case}", {"case": str(case)})


def _health(receipt: Receipt) -> str:
    if receipt.state == "done":
        return "good" if receipt.outcome.get("ok", True) else "warning"
    return "bad" if receipt.state == "failed" else "unknown"


def _findings(receipt: Receipt) -> None:
    """What a test of a connection tried, line by line, and in words what is missing."""
    for finding in receipt.outcome.get("findings", ()):
        with st.container(horizontal=True, vertical_alignment="top", gap="small"):
            with st.container(width=104):
                frame.health("good" if finding["ok"] else "bad", "well" if finding["ok"] else "not well")
            st.markdown(f"**{words.plain(finding['what'])}**: {words.plain(finding['words'])}")


def _told(receipt: Receipt) -> str:
    """The command's own words where it has some, else its counts; a case's new state and the writes that it planned beside them."""
    outcome = receipt.outcome
    if receipt.kind == "resolve_case" and "state" in outcome:
        planned = len(outcome.get("effects") or ())
        return f"{outcome['state']}: {receipt.words}" + (f". {words.counted(planned, 'write')} planned" if planned else "")
    counts = (
        ""
        if "words" in outcome or "findings" in outcome
        else ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in outcome.items() if name != "case")
    )
    return ". ".join(part for part in (receipt.words, counts) if part)

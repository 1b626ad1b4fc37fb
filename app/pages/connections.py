"""Connections: are the pipes well?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl
import streamlit as st

from app import state
from app.desk import ConnectionView, Desk, Feed
from app.widgets import acts, frame, links, receipts, tables, words
from app.widgets.tables import Column

_WORST = ("bad", "warning", "unknown", "good")
_WORDS = {"good": "well", "warning": "ageing", "bad": "late", "unknown": "not known"}


def render(desk: Desk) -> None:
    """Every connection in a line, and the one that the address names in full. The list refreshes by itself."""
    frame.head(desk, "Connections", "Are the pipes well?", can_look_back=False)
    receipts.show(desk)

    @st.fragment(run_every=frame.LIVE_SECONDS)
    def live() -> None:
        seen = frame.ask(lambda: frame.fresh(desk).connections(), of="The connections")
        if seen is None:
            return
        frame.as_of(desk.now(), more=[f"refreshes every {frame.LIVE_SECONDS} s"])
        if not seen:
            frame.empty("No connection is declared.", "Declare one in tidegate.toml; the guide in docs says how for each kind of system.")
            return
        chosen = next((view for view in seen if view.name == st.query_params.get("connection")), None)
        if chosen is None:
            _list(seen)
        else:
            _one(desk, chosen)

    live()
    acts.show(desk)


def _list(views: Sequence[ConnectionView]) -> None:
    for view in sorted(views, key=lambda view: (_WORST.index(_worst(view).health) if view.feeds else len(_WORST), view.name)):
        with st.container(horizontal=True, vertical_alignment="center", key=f"row-connection-{view.name}"):
            with st.container(gap=None):
                st.markdown(f"**{words.plain(view.name)}**")
                st.caption(words.plain(f"{view.system} · {view.region} · {view.criticality} · {view.owner or 'no owner named'}"))
            if not view.feeds:
                frame.health("unknown", "no stream enabled")
                continue
            worst = _worst(view)
            with st.container(gap=None, width=330):
                st.markdown(words.plain(f"{words.span(worst.age_seconds)} old, target {words.span(worst.target_seconds)}"))
                st.caption(words.plain(_troubles(view) or "no trouble"))
            with st.container(width=120):
                frame.health(worst.health, _state(worst))
            st.button(
                ":blue[Open]",
                key=f"connections.open.{view.name}",
                type="tertiary",
                on_click=links.set_params,
                args=({"connection": view.name},),
            )


def _state(feed: Feed) -> str:
    return "paused" if feed.is_paused else _WORDS[feed.health]


def _worst(view: ConnectionView) -> Feed:
    return min(view.feeds, key=lambda feed: (_WORST.index(feed.health), -(feed.age_seconds or 0)))


def _troubles(view: ConnectionView) -> str:
    opened = sum(feed.open_exceptions for feed in view.feeds)
    parts = [words.counted(opened, "open exception") if opened else "", "breaker open" if any(feed.breaker_open for feed in view.feeds) else "",
             "paused" if any(feed.is_paused for feed in view.feeds) else ""]  # fmt: skip
    for state_of in ("late", "missing"):
        count = sum(1 for file in view.files if file.get("state") == state_of)
        parts.append(f"{words.counted(count, 'file')} {state_of}" if count else "")
    return ", ".join(part for part in parts if part)


def _one(desk: Desk, view: ConnectionView) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="connection.moves"):
        st.button("All connections", key="connections.back", on_click=links.set_params, args=({"connection": None},), shortcut="B")
        if state.may_act(desk.person):
            _actions(view)
    frame.section(
        words.plain(view.name), words.plain(f"{view.system} · {view.region} · {view.criticality} · {view.owner or 'no owner named'}")
    )
    _budget(view)
    _errors(view.feeds)
    frame.section("Streams", "Age of the newest data against its target; lag is the time from the source's change to Tidegate")
    _streams(view)
    if view.events:
        frame.section("Events", "What its webhooks have named, to be read again")
        _events(view)
    frame.section("Last runs", "Newest first")
    _runs(view)
    if view.files:
        frame.section("Files", "Expected and received")
        files = pl.DataFrame([{name: _told(value) for name, value in file.items()} for file in view.files])
        tables.show(
            files,
            {name: Column(name.replace("_", " ").capitalize()) for name in files.columns},
            key="connections.files",
            name=f"files of {view.name}",
        )


def _errors(feeds: Sequence[Feed]) -> None:
    """What is wrong in words: streams that say the same say it once, with the soonest next attempt; a paused one waits for a person."""
    failing: dict[tuple[str, bool], list[Feed]] = {}
    for feed in feeds:
        if feed.last_error and feed.health != "good":
            failing.setdefault((feed.last_error, feed.is_paused), []).append(feed)
    for (error, is_paused), of in failing.items():
        attempts = [feed.next_attempt_at for feed in of if feed.next_attempt_at is not None]
        soonest = words.instant(min(attempts, default=None), frame.zone())
        then = "Paused until somebody resumes it" if is_paused else f"Next attempt {soonest}"
        st.warning(words.plain(f"{', '.join(feed.stream.replace('_', ' ') for feed in of)}: {error}. {then}."))


def _told(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return words.instant(value, frame.zone())
    return f"{value:,}" if isinstance(value, int) else str(value) if value is not None else None


def _actions(view: ConnectionView) -> None:
    target = {"connection": view.name}
    acts.button(
        "Run now",
        "run_now",
        target,
        key="connections.run",
        title=f"Run {view.name} now",
        primary=True,
        context={"words": "Every stream is pulled once, at once."},
    )
    acts.button("Test", "test_connection", target, key="connections.test", title=f"Test {view.name}",
                context={"words": "Proves its address, credentials, permissions and fields. Nothing is read in or written. It takes as long as its "
                                  "system takes to answer; what it finds appears here, line by line."})  # fmt: skip
    if any(feed.is_paused for feed in view.feeds):
        acts.button(
            "Resume",
            "resume",
            target,
            key="connections.resume",
            title=f"Resume {view.name}",
            context={"words": "Pulling starts again where it stopped."},
        )
    else:
        acts.button(
            "Pause",
            "pause",
            target,
            key="connections.pause",
            title=f"Pause {view.name}",
            context={"words": "Nothing is pulled until somebody resumes it. Figures will age."},
        )
    acts.button("Backfill", "backfill", target, key="connections.backfill", title=f"Backfill {view.name}",
                context={"words": "Everything is read again from the beginning. Records that are known already stay as they are."})  # fmt: skip


def _budget(view: ConnectionView) -> None:
    known = next((feed for feed in view.feeds if feed.budget_limit), None)
    if known is None or not known.budget_limit:
        return
    used = known.budget_used or 0
    with st.container(width=520):
        st.progress(min(used / known.budget_limit, 1.0), text=f"Call budget: {used:,} of {known.budget_limit:,} used today")


def _streams(view: ConnectionView) -> None:
    data = pl.DataFrame(
        [
            (feed.stream.replace("_", " "), _state(feed), feed.words, feed.age_seconds, feed.target_seconds, feed.lag_p50_seconds, feed.lag_p95_seconds,
             feed.records_total, feed.failures, "open" if feed.breaker_open else "closed", feed.open_exceptions, feed.last_success_at)
            for feed in view.feeds
        ],
        schema={"stream": pl.String, "state": pl.String, "words": pl.String, "age": pl.Int64, "target": pl.Int64, "p50": pl.Float64, "p95": pl.Float64, "records": pl.Int64,
                "failures": pl.Int64, "breaker": pl.String, "exceptions": pl.Int64, "success": pl.Datetime("us", "UTC")},
        orient="row",
    )  # fmt: skip
    tables.show(data, {
        "stream": Column("Stream", width=160), "state": Column("State", width=84), "words": Column("In words", width=330), "age": Column("Age", "seconds"), "target": Column("Target", "seconds"),
        "p50": Column("Lag p50", "seconds"), "p95": Column("Lag p95", "seconds"), "records": Column("Records", "number"), "failures": Column("Failures in a row", "number"),
        "breaker": Column("Breaker"), "exceptions": Column("Open exceptions", "number"), "success": Column("Last success", "instant"),
    }, key="connections.streams", name=f"streams of {view.name}")  # fmt: skip


def _events(view: ConnectionView) -> None:
    data = pl.DataFrame(
        [(event.stream.replace("_", " "), event.last_at, event.waiting) for event in view.events],
        schema={"stream": pl.String, "last": pl.Datetime("us", "UTC"), "waiting": pl.Int64},
        orient="row",
    )
    tables.show(data, {"stream": Column("Stream", width="medium"), "last": Column("Last event", "instant"), "waiting": Column("Wait to be read", "number")},
                key="connections.events", name=f"events of {view.name}")  # fmt: skip


def _runs(view: ConnectionView) -> None:
    if not view.runs:
        frame.empty("It has not run yet.", "Press Run now, or wait for its schedule.")
        return
    data = pl.DataFrame(
        [(run.stream.replace("_", " "), run.trigger, run.started_at, run.ended_at, run.state, run.pages, run.records, run.quarantined, run.error) for run in view.runs],
        schema={"stream": pl.String, "trigger": pl.String, "started": pl.Datetime("us", "UTC"), "ended": pl.Datetime("us", "UTC"), "state": pl.String, "pages": pl.Int64,
                "records": pl.Int64, "quarantined": pl.Int64, "error": pl.String},
        orient="row",
    )  # fmt: skip
    tables.show(data, {
        "stream": Column("Stream", width="medium"), "trigger": Column("Why"), "started": Column("Started", "instant"), "ended": Column("Ended", "instant"), "state": Column("State"),
        "pages": Column("Pages", "number"), "records": Column("Records", "number"), "quarantined": Column("Quarantined", "number"), "error": Column("Error", width="large"),
    }, key="connections.runs", name=f"runs of {view.name}")  # fmt: skip

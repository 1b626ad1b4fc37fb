"""Today: is money moving as it should?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from app.desk import Desk, Feed, HandItem
from app.widgets import frame, links, tiles, words

_KINDS = {"exceptions": "Exceptions", "case": "Case to decide", "breach": "Limit breach", "feed": "Late feed"}
_SHOWN = 8
_WORST = ("bad", "warning", "unknown", "good")


def render(desk: Desk) -> None:
    """Five figures, what needs a hand, and whether the sources are fresh. The figures refresh by themselves."""
    frame.head(desk, "Today", "Is money moving as it should?")

    @st.fragment(run_every=frame.live_every())
    def live() -> None:
        seen = frame.ask(lambda: frame.fresh(desk).today(frame.known_at()), of="Today's figures")
        if seen is None:
            return
        frame.as_of(seen.as_of, more=[] if frame.known_at() else [f"refreshes every {frame.LIVE_SECONDS} s"])
        tiles.row(seen.tiles, on="today")
        left, right = st.columns([3, 2], gap="large")
        with left:
            _needs_a_hand(desk, seen.needs_a_hand, has_feeds=bool(seen.feeds))
        with right:
            _freshness(seen.feeds)

    live()


def _needs_a_hand(desk: Desk, items: Sequence[HandItem], *, has_feeds: bool) -> None:
    frame.section("Needs a hand", "Exceptions, cases, breaches and late feeds, most money first")
    if not items:
        if has_feeds:
            frame.empty("Nothing needs a hand.", "Everything that arrived has passed. New items appear here by themselves.")
        else:
            frame.empty(
                "Nothing has arrived yet.",
                "Declare the first connection; what its records need appears here within a minute of its first run.",
            )
        return
    for at, item in enumerate(items[:_SHOWN]):
        with st.container(horizontal=True, vertical_alignment="center", key=f"row-hand-{at}"):
            with st.container(gap=None):
                st.markdown(f"**{words.plain(item.title)}**")
                owner = item.owner or "nobody has it"
                kind = _KINDS.get(item.kind, item.kind)
                st.caption(
                    words.plain(f"{kind} · {item.detail} · since {words.ago(item.since, desk.now()).removesuffix(' ago')} · {owner}")
                )
            with st.container(width=170, key=f"money-hand-{at}"):
                if item.money is not None:
                    st.markdown(words.plain(words.amount(item.money)))
            links.link(item.page, "Open", item.params)
    if len(items) > _SHOWN:
        rest = items[_SHOWN:]
        with st.container(horizontal=True, vertical_alignment="center", key="hand-rest"):
            st.caption(f"and {words.counted(len(rest), 'more', 'more')} with less money", width="content")
            for page in dict.fromkeys(item.page for item in rest):
                links.link(page, f"See them in {page}")


def _freshness(feeds: Sequence[Feed]) -> None:
    frame.section("Freshness of every source", "Age of the newest data by connection, worst stream, against its target")
    if not feeds:
        frame.empty("No source is connected.", "Declare a connection in tidegate.toml and start the worker.")
        return
    for connection, group in groupby(sorted(feeds, key=lambda feed: feed.connection), key=lambda feed: feed.connection):
        streams = list(group)
        worst = min(streams, key=lambda feed: (_WORST.index(feed.health), -(feed.age_seconds or 0)))
        with st.container(horizontal=True, vertical_alignment="center", key=f"row-feed-{connection}"):
            with st.container(gap=None):
                st.markdown(f"**{words.plain(connection)}**")
                st.caption(
                    words.plain(
                        f"{worst.stream.replace('_', ' ')}: {words.span(worst.age_seconds)} old, target {words.span(worst.target_seconds)}"
                    )
                )
            with st.container(width=92):
                frame.health(worst.health, {"good": "fresh", "warning": "ageing", "bad": "late", "unknown": "not known"}[worst.health])
            links.link("connections", "Open", {"connection": connection})

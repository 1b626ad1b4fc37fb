"""Figures as tiles: value, change, sparkline, target, as-of and what synchronisation delay did to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import streamlit as st

from app.desk import Tile
from app.widgets import frame, links, words

_OPEN = {"today": "Open Today", "receivables": "Open receivables", "cash": "Open cash & forecast", "exposure": "Open exposure",
         "exceptions": "Open exceptions", "journeys": "Open journeys", "connections": "Open connections"}  # fmt: skip


def row(tiles: Sequence[Tile], *, on: str, columns: int = 5) -> None:
    """The tiles beside each other; `on` is the page they stand on, so that none links to itself."""
    with st.grid(columns, min_column_width=218, key=f"tiles-{on}"):
        for tile in tiles:
            with st.container(border=True, gap="small", height="stretch", key=f"tile-{on}-{tile.slug}"):
                _one(tile, on)


def _one(tile: Tile, on: str) -> None:
    st.metric(
        words.plain(tile.title),
        "\u2013" if tile.value is None else words.figure(tile.value, tile.unit),
        words.change(tile),
        delta_color=_colour(tile),
        delta_arrow="off" if tile.change is None or tile.change == 0 else "up" if tile.change > 0 else "down",
        delta_description=words.plain(tile.change_words) if tile.change_words and tile.change is not None else None,
        help=_help(tile),
        chart_data=list(tile.spark) or None,
        chart_type="area",
    )
    st.caption("  \n".join(words.plain(line) for line in _lines(tile, on)))
    if tile.page != on and links.has(tile.page):
        st.space("stretch")
        links.link(tile.page, _OPEN.get(tile.page, "Open"))


def _lines(tile: Tile, on: str) -> list[str]:
    lines = []
    if tile.value is None:
        lines.append(f"Not computed: {tile.why_missing or 'no reason given'}")
    if tile.second_line:
        lines.append(tile.second_line)
    if tile.target is not None and tile.value is not None:
        met = tile.value >= tile.target if tile.good_direction == "up" else tile.value <= tile.target
        lines.append(f"Target {words.figure(tile.target, tile.unit)}, {'met' if met else 'missed'}")
    if tile.sync_share is not None:
        lines.append(f"Sync delay: {words.figure(tile.sync_share, tile.unit, signed=True)}")
    if on == "today":
        lines.append(
            f"As of {words.instant(tile.as_of, frame.zone())[11:]}" + (f", oldest feed {tile.oldest_feed}" if tile.oldest_feed else "")
        )
    return lines


def _colour(tile: Tile) -> Literal["blue", "red", "gray"]:
    if not tile.change:
        return "gray"
    return "blue" if (tile.change > 0) == (tile.good_direction == "up") else "red"


def _help(tile: Tile) -> str:
    parts = [tile.definition]
    if tile.value is not None:
        parts.append(f"Exactly {words.figure_exact(_whole(tile.value), tile.unit)}.")
    return words.plain(" ".join(parts))


def _whole(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()

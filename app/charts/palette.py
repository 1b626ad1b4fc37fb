"""Colours by meaning, Okabe-Ito throughout, for a light and a dark page; and the layout that all charts share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Palette:
    """A colour per meaning; `series` for groups, told apart by marker shape too."""

    actual: str
    soft: str
    good: str
    bad: str
    sync: str
    text: str
    muted: str
    grid: str
    paper: str
    series: tuple[str, ...]


LIGHT = Palette("#3D4A57", "#9AA6B2", "#0072B2", "#D55E00", "#B87A00", "#17212B", "#55606C", "#E6EAEE", "#FFFFFF",
                ("#0072B2", "#D55E00", "#007A5A", "#A8548A", "#B87A00", "#3D4A57"))  # fmt: skip
DARK = Palette("#C9D3DC", "#6F7D8B", "#56B4E9", "#F08A3C", "#E6B34D", "#E6EBF0", "#B3BDC7", "#26313B", "#11161C",
               ("#56B4E9", "#F08A3C", "#2FBF9A", "#DF9AC2", "#E6B34D", "#C9D3DC"))  # fmt: skip

_FONT = '"Source Sans", "Source Sans Pro", "Segoe UI", sans-serif'
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def layout(palette: Palette, *, height: int = 320, unit: str = "", **more: Any) -> dict[str, Any]:
    """The frame of every chart: quiet grid, the unit over the value axis, no decoration."""
    axis = {
        "gridcolor": palette.grid,
        "zeroline": False,
        "linecolor": palette.grid,
        "tickfont": {"color": palette.muted, "size": 12},
        "fixedrange": True,
    }
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 28, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": palette.text, "size": 12, "family": _FONT},
        "showlegend": False,
        "hoverlabel": {"bgcolor": palette.paper, "bordercolor": palette.soft, "font": {"color": palette.text, "size": 12}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": palette.text}},
        "dragmode": False,
        "xaxis": {**axis, "automargin": True, **more.pop("xaxis", {})},
        "yaxis": {
            **axis,
            "automargin": True,
            "title": {"text": unit, "font": {"color": palette.muted, "size": 12}},
            **more.pop("yaxis", {}),
        },
    }
    return {**base, **more}

"""How fast invoices become cash: percentiles by cohort week, share paid by day, aging."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from app.charts.palette import SYMBOLS, Palette, layout

Figure = dict[str, Any]
_PLOT_PIXELS, _LABEL_PIXELS = 240, 15
SETTLED = 0.9
"""From this share of cleared invoices on, a cohort's percentiles hardly move any more."""


def cohorts(frame: pl.DataFrame, colours: Palette, *, chosen: date | None = None) -> Figure:
    """p50, p90 and p95 of all invoices by week of issue; hollow markers: the week is still being paid."""
    data = frame.filter(pl.col("group") == "all").sort("week")
    weeks = data["week"].to_list()
    settled = [(share or 0.0) >= SETTLED for share in data["settled_share"].to_list()]
    lines = (("p50", colours.actual, 2.5), ("p90", colours.series[0], 1.8), ("p95", colours.soft, 1.5))
    traces = [
        _line(weeks, data[name].to_list(), name, colour, width, SYMBOLS[at], colours,
              hollow=[not done for done in settled], chosen=[week == chosen for week in weeks])
        for at, (name, colour, width) in enumerate(lines)
    ]  # fmt: skip
    labels = [_end_label(weeks, data[name].to_list(), name, colour) for name, colour, _ in lines]
    return {
        "data": traces,
        "layout": layout(
            colours,
            unit="days",
            annotations=_apart([label for label in labels if label], data["p95"].max()),
            xaxis=_weeks(weeks),
            yaxis={"rangemode": "tozero"},
        ),
    }


def compare(frame: pl.DataFrame, colours: Palette, *, percentile: str = "p50") -> Figure:
    """One percentile by week of issue for every group."""
    data = frame.filter(pl.col("group") != "all").sort("group", "week")
    traces = []
    names = data["group"].unique(maintain_order=True).to_list()
    for at, name in enumerate(names):
        part = data.filter(pl.col("group") == name)
        hollow = [(share or 0.0) < SETTLED for share in part["settled_share"].to_list()]
        weeks = part["week"].to_list()
        traces.append(_line(weeks, part[percentile].to_list(), str(name), colours.series[at % len(colours.series)], 1.8,
                            SYMBOLS[at % len(SYMBOLS)], colours, hollow=hollow, chosen=[False] * len(weeks)))  # fmt: skip
    return {
        "data": traces,
        "layout": layout(
            colours, unit=f"days, {percentile}", showlegend=True, xaxis=_weeks(data["week"].to_list()), yaxis={"rangemode": "tozero"}
        ),
    }


def survival(frame: pl.DataFrame, colours: Palette) -> Figure:
    """Share of invoices, and of their amount, paid by day n; open invoices count."""
    data = frame.sort("day")
    days = data["day"].to_list()
    traces = []
    for name, words, colour, dash in (
        ("share_paid", "of invoices", colours.actual, "solid"),
        ("share_amount_paid", "of amount", colours.series[0], "dash"),
    ):
        shares = [None if share is None else 100 * share for share in data[name].to_list()]
        traces.append({"type": "scatter", "mode": "lines", "x": days, "y": shares, "name": f"Share {words}", "line": {"shape": "hv", "color": colour, "width": 2, "dash": dash},
                       "hovertemplate": f"day %{{x}}: %{{y:.1f}} % {words}<extra></extra>"})  # fmt: skip
    return {"data": traces, "layout": layout(colours, unit="% paid", height=300, showlegend=True, yaxis={"range": [0, 101]},
                                             xaxis={"title": {"text": "days since issue", "font": {"color": colours.muted}}})}  # fmt: skip


def aging(frame: pl.DataFrame, colours: Palette, *, currency: str) -> Figure:
    """Open receivables by days past due; the disputed part is hatched."""
    buckets = frame["bucket"].to_list()
    total = frame["amount"].cast(pl.Float64)
    disputed = frame["disputed"].cast(pl.Float64).fill_null(0)
    plain = [whole - part if whole > 0 else whole for whole, part in zip(total.to_list(), disputed.to_list(), strict=True)]
    shade = [colours.soft if bucket in ("not due", "credits") else colours.bad if bucket == "90+" else colours.actual for bucket in buckets]
    hover = f"%{{y}} %{{x:,.0f}} {currency}<extra>%{{fullData.name}}</extra>"
    traces = [
        {"type": "bar", "orientation": "h", "y": buckets, "x": plain, "name": "Undisputed", "marker": {"color": shade}, "hovertemplate": hover},
        {"type": "bar", "orientation": "h", "y": buckets, "x": disputed.to_list(), "name": "Disputed", "hovertemplate": hover,
         "marker": {"color": colours.sync, "pattern": {"shape": "/", "fgcolor": colours.sync, "bgcolor": "rgba(0,0,0,0)", "fillmode": "replace", "size": 6}}},
    ]  # fmt: skip
    return {"data": traces, "layout": layout(colours, height=300, barmode="relative", bargap=0.35, showlegend=True, yaxis={"autorange": "reversed", "showgrid": False},
                                             xaxis={"title": {"text": currency, "font": {"color": colours.muted}}, "tickformat": "~s"})}  # fmt: skip


def _line(
    x: list[date],
    y: list[float | None],
    name: str,
    colour: str,
    width: float,
    symbol: str,
    colours: Palette,
    *,
    hollow: list[bool],
    chosen: list[bool],
) -> Figure:
    return {
        "type": "scatter", "mode": "lines+markers", "x": [week.isoformat() for week in x], "y": y, "name": name, "line": {"color": colour, "width": width},
        "customdata": [week.isoformat() for week in x],
        "marker": {"symbol": symbol, "opacity": 1, "size": [13 if is_it else 8 for is_it in chosen], "color": [colours.paper if open_ else colour for open_ in hollow],
                   "line": {"color": colour, "width": 1.6}},
        "hovertemplate": f"week of %{{x|%Y-%m-%d}}: %{{y:.1f}} days<extra>{name}</extra>",
    }  # fmt: skip


def _end_label(x: list[date], y: list[float | None], text: str, colour: str) -> Figure | None:
    known = [(week, value) for week, value in zip(x, y, strict=True) if value is not None]
    if not known:
        return None
    week, value = known[-1]
    return {
        "x": week.isoformat(),
        "y": value,
        "text": f"<b>{text}</b>",
        "showarrow": False,
        "xanchor": "left",
        "xshift": 10,
        "font": {"color": colour, "size": 12},
    }


def _apart(labels: list[Figure], highest: Any) -> list[Figure]:
    """The labels, each moved up as far as it takes to stand clear of the one below it."""
    pixels_per_day = _PLOT_PIXELS / float(highest or 1)
    below = -float(_LABEL_PIXELS)
    for label in labels:
        place = label["y"] * pixels_per_day
        label["yshift"] = max(below + _LABEL_PIXELS - place, 0)
        below = place + label["yshift"]
    return labels


def _weeks(weeks: list[date]) -> Figure:
    return {"type": "date", "tickformat": "%Y-%m-%d", "nticks": 9, "showgrid": False} if weeks else {"showgrid": False}

"""Cash: positions by currency, the thirteen-week fan with its minimum, the bridge from forecast to actual."""

from __future__ import annotations

from typing import Any

import polars as pl

from app.charts.palette import Palette, layout

Figure = dict[str, Any]


def positions(frame: pl.DataFrame, colours: Palette, *, by: str, currency: str) -> Figure:
    """Position in the reporting currency by `by` (currency, legal_entity or account), largest on top."""
    data = frame.group_by(by).agg(pl.col("amount_reporting").sum()).sort("amount_reporting", by, descending=[False, True])
    values = data["amount_reporting"].cast(pl.Float64).to_list()
    trace = {
        "type": "bar", "orientation": "h", "y": data[by].to_list(), "x": values, "text": [f"{value / 1e6:,.1f} M" for value in values], "textposition": "outside",
        "cliponaxis": False, "marker": {"color": [colours.actual if value >= 0 else colours.bad for value in values]},
        "hovertemplate": f"%{{y}} %{{x:,.0f}} {currency}<extra></extra>",
    }  # fmt: skip
    height = max(140, 34 * data.height + 60)
    return {"data": [trace], "layout": layout(colours, height=height, bargap=0.4, yaxis={"showgrid": False, "type": "category"},
                                              xaxis={"showticklabels": False, "showgrid": False}, margin={"l": 8, "r": 60, "t": 8, "b": 8})}  # fmt: skip


def fan(frame: pl.DataFrame, colours: Palette, *, currency: str) -> Figure:
    """The forecast position: p50, the band from p10 to p90 (hatched, for it is forecast), the minimum that must be held."""
    data = frame.sort("week")
    weeks = [week.isoformat() for week in data["week"].to_list()]
    low, middle, high, least = (data[name].cast(pl.Float64).to_list() for name in ("p10", "p50", "p90", "minimum"))
    hover = f"%{{x|%Y-%m-%d}}: %{{y:,.0f}} {currency}<extra>%{{fullData.name}}</extra>"
    band = {"shape": "/", "fgcolor": colours.series[0], "bgcolor": "rgba(0,0,0,0)", "fillmode": "replace", "size": 7, "solidity": 0.12}
    traces: list[Figure] = [
        {"type": "scatter", "mode": "lines", "x": weeks, "y": high, "name": "p90", "showlegend": False, "line": {"color": colours.series[0], "width": 1}, "hovertemplate": hover},
        {"type": "scatter", "mode": "lines", "x": weeks, "y": low, "name": "p10 to p90", "line": {"color": colours.series[0], "width": 1}, "fill": "tonexty", "fillpattern": band,
         "hovertemplate": hover.replace("%{fullData.name}", "p10")},
        {"type": "scatter", "mode": "lines+markers", "x": weeks, "y": middle, "name": "p50", "line": {"color": colours.series[0], "width": 2.5, "dash": "dash"},
         "marker": {"size": 7, "color": colours.paper, "line": {"color": colours.series[0], "width": 2}}, "hovertemplate": hover},
    ]  # fmt: skip
    below = [
        (week, value)
        for week, value, floor in zip(weeks, low, least, strict=True)
        if floor is not None and value is not None and value < floor
    ]
    annotations = []
    if any(floor is not None for floor in least):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": weeks,
                "y": least,
                "name": "Minimum",
                "line": {"color": colours.bad, "width": 2},
                "hovertemplate": hover,
            }
        )
        annotations.append(
            {
                "x": weeks[0],
                "y": least[0],
                "text": "minimum",
                "showarrow": False,
                "xanchor": "left",
                "yshift": -10,
                "font": {"color": colours.bad, "size": 12},
            }
        )
    if below:
        annotations.append(
            {
                "x": below[0][0],
                "y": below[0][1],
                "text": "p10 below minimum",
                "ax": 0,
                "ay": 36,
                "arrowcolor": colours.bad,
                "font": {"color": colours.bad, "size": 12},
            }
        )
    return {"data": traces, "layout": layout(colours, unit=currency, height=340, annotations=annotations, showlegend=True,
                                             xaxis={"type": "date", "tickformat": "%Y-%m-%d", "nticks": 8, "showgrid": False}, yaxis={"tickformat": "~s"})}  # fmt: skip


def bridge(frame: pl.DataFrame, colours: Palette, *, currency: str, chosen: str | None = None) -> Figure:
    """From forecast (hatched) by its causes to actual (solid); what synchronisation delay did stands as its own bar."""
    steps, kinds = frame["step"].to_list(), frame["kind"].to_list()
    amounts = frame["amount"].cast(pl.Float64).to_list()
    bases, running = [], 0.0
    for amount, kind in zip(amounts, kinds, strict=True):
        bases.append(0.0 if kind == "total" else running)
        running = amount if kind == "total" else running + amount
    colour, shape = [], []
    for step, amount, kind in zip(steps, amounts, kinds, strict=True):
        colour.append(
            colours.actual if kind == "total" else colours.sync if kind == "sync" else colours.good if amount >= 0 else colours.bad
        )
        shape.append("/" if kind == "total" and "forecast" in step.lower() else "x" if kind == "sync" else "")
    trace = {
        "type": "bar", "x": steps, "y": amounts, "base": bases, "customdata": steps, "text": [_signed(amount, kind) for amount, kind in zip(amounts, kinds, strict=True)],
        "textposition": "outside", "cliponaxis": False, "textfont": {"color": colours.text},
        "marker": {"color": colour, "pattern": {"shape": shape, "size": 7, "solidity": 0.35}, "line": {"color": colour, "width": [3 if step == chosen else 1 for step in steps]}},
        "opacity": 1, "hovertemplate": f"%{{x}}: %{{text}} {currency}<extra></extra>",
    }  # fmt: skip
    ends = [base + amount for base, amount in zip(bases, amounts, strict=True)]
    joins = [
        {
            "type": "line",
            "xref": "x",
            "yref": "y",
            "x0": at,
            "x1": at + 1,
            "y0": end,
            "y1": end,
            "line": {"color": colours.soft, "width": 1},
        }
        for at, end in enumerate(ends[:-1])
    ]
    edges = [*ends, *bases] or [0.0]
    room = (max(edges) - min(edges)) * 0.12
    return {"data": [trace], "layout": layout(colours, unit=currency, height=340, bargap=0.35, shapes=joins, xaxis={"showgrid": False, "type": "category"},
                                              yaxis={"tickformat": "~s", "range": [min(edges) - (room if min(edges) < 0 else 0), max(edges) + room]})}  # fmt: skip


def _signed(amount: float, kind: str) -> str:
    sign = "" if kind == "total" and amount >= 0 else "+" if amount >= 0 else "\u2212"
    size = abs(amount)
    if size < 0.5:
        return "0"
    return f"{sign}{size / 1e6:,.2f} M" if size >= 1e6 else f"{sign}{size / 1e3:,.1f} k" if size >= 1e3 else f"{sign}{size:,.0f}"

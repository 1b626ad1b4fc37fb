"""Exposure against limits."""

from __future__ import annotations

from typing import Any

import polars as pl

from app.charts.palette import Palette, layout

Figure = dict[str, Any]
_MOST = 15


def utilisation(frame: pl.DataFrame, colours: Palette, *, currency: str, chosen: int | None = None) -> Figure:
    """Exposure by customer as a bar, its limit as a mark across it; the fullest on top, at most fifteen."""
    data = frame.sort("utilisation", "exposure", descending=True, nulls_last=True).head(_MOST).reverse()
    names = _told_apart(data)
    exposures, limits = (data[name].cast(pl.Float64).to_list() for name in ("exposure", "credit_limit"))
    used, parties = data["utilisation"].to_list(), data["party_id"].to_list()
    over = [share is not None and share > 1 for share in used]
    text = [
        "no limit" if share is None else f"{share * 100:.0f} %{', over its limit' if breach else ''}"
        for share, breach in zip(used, over, strict=True)
    ]
    bars = {
        "type": "bar", "orientation": "h", "y": names, "x": exposures, "customdata": parties, "name": "Exposure",
        "marker": {"color": [colours.bad if breach else colours.actual for breach in over],
                   "line": {"color": colours.text, "width": [2 if party == chosen else 0 for party in parties]}},
        "hovertemplate": f"%{{y}}: exposure %{{x:,.0f}} {currency}<extra></extra>",
    }  # fmt: skip
    marks = {
        "type": "scatter", "mode": "markers", "y": names, "x": limits, "customdata": parties, "name": "Limit",
        "marker": {"symbol": "line-ns-open", "size": 24, "color": colours.series[0], "line": {"width": 3, "color": colours.series[0]}},
        "hovertemplate": f"%{{y}}: limit %{{x:,.0f}} {currency}<extra></extra>",
    }  # fmt: skip
    labels = [
        {"x": max(exposure or 0, limit or 0), "y": name, "text": word, "showarrow": False, "xanchor": "left", "xshift": 8, "font": {"color": colours.bad if breach else colours.muted, "size": 12}}
        for name, exposure, limit, word, breach in zip(names, exposures, limits, text, over, strict=True)
    ]  # fmt: skip
    return {"data": [bars, marks], "layout": layout(colours, height=max(180, 36 * data.height + 70), bargap=0.45, showlegend=True, annotations=labels,
                                                    yaxis={"showgrid": False, "type": "category"}, margin={"l": 8, "r": 130, "t": 28, "b": 8},
                                                    xaxis={"tickformat": "~s", "title": {"text": currency, "font": {"color": colours.muted}}})}  # fmt: skip


def _told_apart(data: pl.DataFrame) -> list[str]:
    """The customers' names; those that several share with their numbers, as each name is one line of the chart."""
    shared = pl.col("name").is_duplicated()
    number = pl.coalesce(pl.col("number"), pl.col("party_id").cast(pl.String))
    return data.select(pl.when(shared).then(pl.format("{} ({})", pl.col("name"), number)).otherwise(pl.col("name")))["name"].to_list()

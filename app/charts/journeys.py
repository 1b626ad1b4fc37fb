"""A journey's time by hop, in three clocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.charts.palette import Palette, layout
from app.desk import Hop

_HOUR = 3_600


def clocks(hops: Sequence[Hop], colours: Palette) -> dict[str, Any]:
    """Hours of every hop: business solid, integration hatched, people crossed; top to bottom as it happened. A gap has no bar."""
    names = [f"{at}. {hop.name}" for at, hop in enumerate(hops, start=1)]
    parts = (
        ("Business", "business_seconds", colours.actual, ""),
        ("Integration", "integration_seconds", colours.sync, "/"),
        ("People", "human_seconds", colours.series[0], "x"),
    )
    traces = []
    for words, field, colour, shape in parts:
        hours = [(getattr(hop, field) or 0) / _HOUR for hop in hops]
        traces.append({"type": "bar", "orientation": "h", "y": names, "x": hours, "name": words, "marker": {"color": colour, "pattern": {"shape": shape, "size": 6, "solidity": 0.4}},
                       "hovertemplate": f"%{{y}}: %{{x:,.2f}} h<extra>{words}</extra>"})  # fmt: skip
    gaps = [
        {
            "x": 0,
            "y": name,
            "text": "missing",
            "showarrow": False,
            "xanchor": "left",
            "xshift": 6,
            "font": {"color": colours.bad, "size": 12},
        }
        for name, hop in zip(names, hops, strict=True)
        if hop.is_gap
    ]
    return {"data": traces, "layout": layout(colours, height=max(180, 38 * len(names) + 80), barmode="stack", bargap=0.4, showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}, annotations=gaps,
                                             yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
                                             xaxis={"title": {"text": "hours", "font": {"color": colours.muted}}})}  # fmt: skip

"""How good the forecast was: asked of the facts, so kept for a minute per scope: it moves with a week, not with a click."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from decimal import Decimal

import polars as pl

from app.desk import Tile
from app.live.figures import answer_tile
from db.engine import Reading
from metrics.frames import EVERYTHING, Where
from metrics.hindsight import accuracy_by_horizon

KEEP_SECONDS = 60.0
MOST_SCOPES = 64
_kept: dict[tuple[object, ...], tuple[float, pl.DataFrame]] = {}
_lock = threading.Lock()


def by_horizon(conn: Reading, *, at: datetime, currency: str, regions: frozenset[str] | None) -> pl.DataFrame:
    """horizon, inflow, wape, bias, mape, pairs of the forecasts published by `at`, for `regions` (None: all)."""
    key = (regions, currency, at.date())
    with _lock:
        found = _kept.get(key)
        if found is not None and time.monotonic() - found[0] < KEEP_SECONDS:
            return found[1]
    where = EVERYTHING if regions is None else Where(None, regions)
    frame = accuracy_by_horizon(conn, at=at, reporting_currency=currency, where=where)
    with _lock:
        if len(_kept) > MOST_SCOPES:
            _kept.clear()
        _kept[key] = (time.monotonic(), frame)
    return frame


def accuracy_tile(conn: Reading, *, at: datetime, currency: str, regions: frozenset[str] | None) -> Tile:
    """Forecast accuracy of inflows one week ahead: 100 % less WAPE."""
    frame = by_horizon(conn, at=at, currency=currency, regions=regions).filter(pl.col("inflow"))
    near = frame.filter(pl.col("horizon") == 1)
    wape = near["wape"][0] if near.height else None
    bias = near["bias"][0] if near.height else None
    value = None if wape is None else Decimal(str(round(max(0.0, 1 - wape) * 100, 2)))
    return answer_tile(
        "forecast_accuracy",
        value,
        "%",
        page="cash",
        now=at,
        title="Forecast accuracy, inflows",
        missing="needs a forecast published before a week that is over",
        second_line=f"1 week ahead, bias {bias * 100:+.0f} %" if bias is not None else "1 week ahead",
        health="unknown" if value is None else "good" if value >= 85 else "warning",
        target=Decimal(85),
        good="up",
        definition="100 % less WAPE: sum of |actual - forecast| / sum of |actual|, weeks by entity and currency, one week ahead.",
    )

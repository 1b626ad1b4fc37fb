"""The explained variance of a window, kept for a minute per question and scope: it asks the facts under four bounds."""

from __future__ import annotations

import threading
import time
from datetime import datetime

from db.engine import Reading
from metrics.frames import Where
from metrics.hindsight import Explained, explain
from metrics.variance import Window

KEEP_SECONDS = 60.0
MOST_QUESTIONS = 64
_kept: dict[tuple[object, ...], tuple[float, Explained]] = {}
_lock = threading.Lock()


def explained(
    conn: Reading,
    *,
    window: Window,
    cut_off: datetime,
    at: datetime,
    reporting_currency: str,
    where: Where,
    legal_entity: str | None,
    currency: str | None,
    regions: frozenset[str] | None,
) -> Explained:
    """`metrics.hindsight.explain`, at most a minute old. `regions` is whose eyes see it: it is part of the key, never only of the query."""
    key = (regions, window, reporting_currency, where.regions, legal_entity, currency)
    with _lock:
        found = _kept.get(key)
    if found is not None and time.monotonic() - found[0] < KEEP_SECONDS:
        return found[1]
    made = explain(
        conn,
        window=window,
        cut_off=cut_off,
        at=at,
        reporting_currency=reporting_currency,
        where=where,
        legal_entity=legal_entity,
        currency=currency,
    )
    with _lock:
        if len(_kept) > MOST_QUESTIONS:
            _kept.clear()
        _kept[key] = (time.monotonic(), made)
    return made

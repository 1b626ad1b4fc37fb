"""Kyriba's shapes: stamps, windows, the reference under which we publish, what travels with a page. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sync.wire_frames import Rows

WINDOW_DAYS = 31
REFERENCE_PREFIX = "TG-"
ACCOUNTS_HEADER = "x-tidegate-accounts"
ASKED_HEADER = "x-tidegate-asked-at"
"""What the records themselves don't say travels with the page: which company holds each account, and when it was asked."""


def stamps(rows: Rows) -> list[datetime]:
    """The update stamps of the records that have a readable one, in their order, UTC."""
    found = []
    for row in rows.sound:
        nested = row.get("date")
        text = (nested.get("updateDateTime") if isinstance(nested, dict) else None) or row.get("updateDateTime")
        try:
            stamp = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        except ValueError:
            continue
        if stamp.tzinfo is not None:
            found.append(stamp)
    return found


def windows(first: date, last: date) -> list[tuple[date, date]]:
    """Spans of at most 31 days from `first` to `last`, both included."""
    spans = []
    while first <= last:
        end = min(first + timedelta(days=WINDOW_DAYS - 1), last)
        spans.append((first, end))
        first = end + timedelta(days=1)
    return spans


def reference_of(effect_key: str, said: Any = None) -> str:
    """The reference of our cash flow: the payload's own, or a digest of the effect's permanent key; the same for ever."""
    if isinstance(said, str) and said.startswith(REFERENCE_PREFIX):
        return said
    return REFERENCE_PREFIX + hashlib.sha256(effect_key.encode()).hexdigest()[:24]


def context(accounts: Mapping[str, str | None], now: datetime) -> dict[str, str]:
    """The headers that go with a page."""
    return {ACCOUNTS_HEADER: json.dumps(accounts, sort_keys=True), ASKED_HEADER: now.isoformat()}

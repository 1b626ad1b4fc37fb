"""Kyriba's shapes: pages and their metadata, error bodies, the reference under which we publish."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sync.errors import AuthError, DataError, PermanentError, SourceError, TransientError
from sync.http import Answer
from sync.strict_json import NotStrict, loads
from sync.wire_frames import Rows, decode, split

WINDOW_DAYS = 31
REFERENCE_PREFIX = "TG-"
ACCOUNTS_HEADER = "x-tidegate-accounts"
ASKED_HEADER = "x-tidegate-asked-at"
"""What the records themselves don't say travels with the page: which company holds each account, and when it was asked."""


class TokenExpired(AuthError):
    """The token is no longer good; a new one may be."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing: its records, where it begins among `total`, and how many the system gives at most."""

    rows: Rows
    total: int
    offset: int
    limit: int


def listing(answer: Answer) -> Listing:
    """The page of an answer; TransientError when it is none."""
    try:
        taken = split(answer.body, "results")
        told = taken.beside["metadata"]
        return Listing(
            decode(taken.records), int(told["numberOfTotalResults"]), int(told.get("pageOffset", 0)), int(told.get("pageLimit") or 0)
        )
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise TransientError(f"{answer.place}: the answer is no page of results", status=answer.status) from error


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


def explain(answer: Answer) -> SourceError | None:
    """The error that the system's own words mean; None where it has none."""
    try:
        said = loads(answer.body)
    except NotStrict:
        return None
    problem = said.get("error") if isinstance(said, dict) else None
    if isinstance(problem, str):
        words = f"{answer.place}: {problem}: {said.get('error_description') or 'no reason given'}"[:400]
        if answer.status == 401 and problem == "invalid_token":
            return TokenExpired(words, status=401)
        return AuthError(words, status=answer.status) if answer.status in (400, 401, 403) else None
    if isinstance(problem, dict) and 400 <= answer.status < 500 and answer.status not in (401, 408, 412, 428, 429):
        target = f" ({problem['target']})" if problem.get("target") else ""
        return PermanentError(f"{answer.place}: {problem.get('code')}: {problem.get('message')}{target}"[:400], status=answer.status)
    return None

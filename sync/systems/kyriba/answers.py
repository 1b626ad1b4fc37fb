"""What the tenant's answers mean: pages of results, and errors by its own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sync.errors import AuthError, DataError, PermanentError, QuotaError, SourceError, TransientError
from sync.http import Answer, wall_clock
from sync.http_gate import retry_at
from sync.strict_json import NotStrict, loads
from sync.wire_frames import Rows, decode, split

DAILY_LIMIT_REST = timedelta(hours=1)
"""A refusal that speaks of a day names no end: it is asked again after this, whatever the zone in which the tenant's day begins."""
_WORDS_MAX = 400
_OTHERS_DECIDE = frozenset({401, 408, 412, 425, 428, 429})
"""Statuses whose meaning HTTP itself gives, whatever the body says."""
_HTML = (b"<!doctype html", b"<html")


class TokenExpired(AuthError):
    """The token is no longer good; a new one may be."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing: its records, how many the listing holds (None: the tenant does not say), how many of them a page takes at
    most, and whether it names a next page.
    """

    rows: Rows
    total: int | None
    limit: int
    following: bool

    @property
    def step(self) -> int:
        """How far the page moves the offset on. A page that holds a record twice is longer than its limit, and the places that the
        tenant counts are not: going on by what came would leap over a record.
        """
        return min(self.rows.total, self.limit)


def listing(answer: Answer, asked: int) -> Listing:
    """The page of an answer to a question for `asked` records; TransientError when it is none."""
    try:
        taken = split(answer.body, "results")
        told = taken.beside["metadata"]
        limit, total = int(told.get("pageLimit") or 0), told.get("numberOfTotalResults")
        if isinstance(total, bool):  # which Python takes for a number
            raise TypeError(total)
        links = told.get("links")
        return Listing(
            decode(taken.records),
            None if total is None else int(total),
            min(limit, asked) if limit > 0 else asked,
            bool(isinstance(links, Mapping) and links.get("next")),
        )
    except (DataError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise TransientError(f"{answer.place}: the answer is no page of results", status=answer.status) from error


def web_page(answer: Answer) -> bool:
    """Whether a page for a browser came: it is a proxy's or a server's, and never the API's own word."""
    return answer.content_type.startswith("text/html") or answer.body[:200].lstrip().lower().startswith(_HTML)


def explain(answer: Answer) -> SourceError | None:
    """The error that the system's own words mean; None where it has none."""
    try:
        said = loads(answer.body)
    except NotStrict:
        return None
    problem = said.get("error") if isinstance(said, dict) else None
    if isinstance(problem, str):
        reason = f"{problem}: {said.get('error_description') or 'no reason given'}"
    elif isinstance(problem, dict):
        reason = _told(problem)
    else:
        return None
    words, status = f"{answer.place}: {reason}"[:_WORDS_MAX], answer.status
    if status == 401:
        return TokenExpired(words, status=401) if problem == "invalid_token" else AuthError(words, status=401)
    if status == 429:
        return _quota(answer, words)
    if status == 403:
        return PermanentError(f"{words}: ask the tenant's administrator for the function in the API user's access profile", status=403)
    if isinstance(problem, str):
        return AuthError(words, status=status) if status == 400 else None
    if status >= 500 and not answer.headers.get("retry-after"):
        return TransientError(words, status=status)
    return PermanentError(words, status=status) if 400 <= status < 500 and status not in _OTHERS_DECIDE else None


def _told(problem: Mapping[str, Any]) -> str:
    """An API error in one line: its code, message and target, then those of its details."""
    parts = [_one(problem)]
    details = problem.get("details")
    parts += [_one(each) for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    return "; ".join(part for part in parts if part)


def _one(problem: Mapping[str, Any]) -> str:
    target = f" ({problem['target']})" if problem.get("target") else ""
    return f"{problem.get('code')}: {problem.get('message')}{target}"


def _quota(answer: Answer, words: str) -> QuotaError:
    now = wall_clock()
    wait = retry_at(answer.headers.get("retry-after"), now=now)
    if wait is None and "daily" in words.lower():
        wait = now + DAILY_LIMIT_REST
    return QuotaError(words, retry_at=wait)

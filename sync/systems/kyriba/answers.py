"""What the tenant's answers mean: pages of results, and errors by its own words."""

from __future__ import annotations

from dataclasses import dataclass

from sync.errors import AuthError, DataError, PermanentError, SourceError, TransientError
from sync.http import Answer
from sync.strict_json import NotStrict, loads
from sync.wire_frames import Rows, decode, split


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

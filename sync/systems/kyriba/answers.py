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
    """One page of a listing: its records, how many the listing holds, and how many of them a page of it takes at most."""

    rows: Rows
    total: int
    limit: int

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
        limit = int(told.get("pageLimit") or 0)
        return Listing(decode(taken.records), int(told["numberOfTotalResults"]), min(limit, asked) if limit > 0 else asked)
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

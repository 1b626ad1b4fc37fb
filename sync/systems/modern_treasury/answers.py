"""What the organisation's answers mean: pages of a list with the cursor in a header, and errors by its own words."""

from __future__ import annotations

from dataclasses import dataclass

from sync.errors import AuthError, ConflictError, DataError, PermanentError, SourceError, TransientError
from sync.http import Answer
from sync.strict_json import NotStrict, loads
from sync.systems.modern_treasury.wire import records
from sync.wire_frames import Rows

CURSOR_HEADER = "x-after-cursor"
_CREDENTIALS = ("invalid_key", "expired_key", "invalid_ip")


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list: its records, and the cursor of the next page, None when this is the last."""

    answer: Answer
    rows: Rows
    after: str | None


def listing(answer: Answer) -> Listing:
    """The page of an answer; TransientError when it is none. An absent, empty or `null` cursor ends the list."""
    try:
        if answer.body.lstrip(b" \t\r\n")[:1] != b"[":
            raise DataError("the answer is no list", cause="file_unreadable")
        rows = records(answer.body)
    except DataError as error:
        raise TransientError(f"{answer.place}: {error.detail}", status=answer.status) from error
    after = (answer.headers.get(CURSOR_HEADER) or "").strip()
    return Listing(answer, rows, after if after and after != "null" else None)


def explain(answer: Answer) -> SourceError | None:
    """The error that the organisation's own words mean; None where it has none, and for a wait, whose time is in the headers."""
    try:
        said = loads(answer.body)
    except NotStrict:
        said = None
    told = said.get("errors") if isinstance(said, dict) else None
    if isinstance(told, list) and told:
        told = told[0]
    if (
        not isinstance(told, dict) and answer.status == 409
    ):  # its words may be cut off: that another request is at work stands in the status
        return ConflictError(f"{answer.place}: answered 409", status=409)
    if not isinstance(told, dict) or answer.status in (408, 425, 429) or answer.status >= 500:
        return None
    code = str(told.get("code") or "no code")
    named = f" ({told['parameter']})" if told.get("parameter") else ""
    words = f"{answer.place}: {code}: {told.get('message') or 'no reason given'}{named}"[:400]
    if code in _CREDENTIALS or answer.status == 401:
        return AuthError(words, status=answer.status)
    if answer.status == 409 or code == "conflict":
        return ConflictError(words, status=answer.status)
    return PermanentError(words, status=answer.status)

"""What the org's answers mean: errors by its own codes, and its limit header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sync.errors import AuthError, PermanentError, QuotaError, SourceError, TransientError
from sync.http import Answer, excerpt, wall_clock
from sync.http_gate import retry_at
from sync.strict_json import NotStrict, loads
from sync.systems.salesforce.refusals import login_refused

_LIMIT = re.compile(r"(?:^|[;,])\s*api-usage\s*=\s*(\d{1,15})\s*/\s*(\d{1,15})", re.IGNORECASE)
_LASTING_401 = (b"not valid for use with the REST API", b"Connected app is not attached to Agent")
_EXPIRED = ("INVALID_SESSION_ID", "InvalidSessionId")
"""Whatever the status: the older services say it with 400."""
_TRANSIENT = {
    "SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION", "REQUEST_RUNNING_TOO_LONG", "OPERATION_TOO_LARGE",
    "CANNOT_EXECUTE_FLOW_TRIGGER", "JOB_NOT_COMPLETE",
}  # fmt: skip
_AUTH = {"INVALID_LOGIN", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INVALID_AUTH_HEADER", "OAUTH_APP_ACCESS_DENIED"}
_STATUS_DECIDES = (406, 408, 412, 420, 428, 429)
TOO_LONG = (414, 431)


class SessionExpired(AuthError):
    """The token is no longer good; a new one may be."""


class RowLocked(TransientError):
    """Somebody else is writing the record (UNABLE_TO_LOCK_ROW); nothing was done."""


def limit_of(header: str | None) -> tuple[int, int] | None:
    """(used, limit) from Sforce-Limit-Info in any of its forms; None when it says nothing of the org's calls."""
    found = _LIMIT.search(header or "")
    return (int(found[1]), int(found[2])) if found else None


def problems_of(body: bytes) -> list[Mapping[str, Any]]:
    """The errors that a REST answer lists; [] when it lists none (empty, HTML, XML and other bodies)."""
    try:
        said = loads(body)
    except NotStrict:
        return []
    return [entry for entry in said if isinstance(entry, dict)] if isinstance(said, list) else []


def explain(answer: Answer) -> SourceError | None:
    """The error that the org's own words mean; None where it has none (empty, HTML and XML bodies are the status's to judge)."""
    if answer.status in TOO_LONG:
        words = "the query with its headers is longer than the 16,384 bytes that Salesforce takes"
        return PermanentError(f"{answer.place}: answered {answer.status}: {words}", status=answer.status)
    if answer.status == 401 and any(phrase in answer.body for phrase in _LASTING_401):
        return AuthError(
            f"{answer.place}: {_lasting(answer.body)}: a new token would be refused alike; give the integration user API Enabled and let it use"
            " the app",
            status=401,
        )
    listed = problems_of(answer.body)
    if answer.status == 401 or (listed and listed[0].get("errorCode") in _EXPIRED):
        return SessionExpired(f"{answer.place}: {_first_words(answer)}", status=answer.status)
    if listed:
        code = str(listed[0].get("errorCode", ""))
        error = _error(answer, code, f"{answer.place}: {_first_words(answer)}")
        if error is not None:
            error.code = code
        return error
    if answer.status == 406:
        return TransientError(f"{answer.place}: answered 406", status=406)
    return login_refused(answer)


def _lasting(body: bytes) -> str:
    return next(phrase.decode() for phrase in _LASTING_401 if phrase in body)


def _first_words(answer: Answer) -> str:
    """The first error in the org's words. Other bodies are not quoted: they may throw our token back at us."""
    listed = problems_of(answer.body)
    if not listed:
        return f"answered {answer.status} without a reason"
    message = " ".join(str(listed[0].get("message", "")).split())[:300]
    return f"{listed[0].get('errorCode', 'no code')}: {message}"


def _error(answer: Answer, code: str, words: str) -> SourceError | None:
    status = answer.status
    wait = retry_at(answer.headers.get("retry-after"), now=wall_clock())
    if code == "REQUEST_LIMIT_EXCEEDED" or (wait is not None and status in (429, 503)):
        return QuotaError(words, retry_at=wait, status=status)
    if code == "UNABLE_TO_LOCK_ROW":
        return RowLocked(words, status=status)
    if code in _TRANSIENT or status == 406:
        return TransientError(words, status=status)
    if code in _AUTH:
        return AuthError(words, status=status)
    if 400 <= status < 500 and status not in _STATUS_DECIDES:
        return PermanentError(words, status=status)
    return None


def several_fit(answer: Answer) -> str:
    """The words for a 300, whose body lists their addresses: more than one record has the external id."""
    return f"{answer.place}: more than one record has this number: {excerpt(answer.body, 200)}"

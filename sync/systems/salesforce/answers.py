"""What the org's answers mean: errors by its own codes, and its limit header."""

from __future__ import annotations

import re
from typing import Any

from sync.errors import AuthError, PermanentError, QuotaError, SourceError, TransientError
from sync.http import Answer, excerpt
from sync.strict_json import NotStrict, loads

_LIMIT = re.compile(r"(?:^|[;,])\s*api-usage=(\d+)/(\d+)")
_LASTING_401 = ("not valid for use with the REST API", "Connected app is not attached to Agent")
_TRANSIENT = {"SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION", "REQUEST_RUNNING_TOO_LONG"}
_AUTH = {"INVALID_LOGIN", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INVALID_AUTH_HEADER", "OAUTH_APP_ACCESS_DENIED"}


class SessionExpired(AuthError):
    """The token is no longer good; a new one may be."""


class RowLocked(TransientError):
    """Somebody else is writing the record (UNABLE_TO_LOCK_ROW); nothing was done."""


def limit_of(header: str | None) -> tuple[int, int] | None:
    """(used, limit) from Sforce-Limit-Info in any of its forms; None when it says nothing of the org's calls."""
    found = _LIMIT.search(header or "")
    return (int(found[1]), int(found[2])) if found else None


def explain(answer: Answer) -> SourceError | None:
    """The error that the org's own words mean; None where it has none (empty, HTML and XML bodies are the status's to judge)."""
    try:
        said = loads(answer.body)
    except NotStrict:
        return TransientError(f"{answer.place}: answered 406", status=406) if answer.status == 406 else None
    if isinstance(said, dict):
        return _login_refused(answer, said) if "error" in said else None
    if not isinstance(said, list) or not said or not isinstance(said[0], dict):
        return None
    code = str(said[0].get("errorCode", ""))
    message = " ".join(str(said[0].get("message", "")).split())[:300]
    return _error(answer, code, f"{answer.place}: {code}: {message}", message)


def _error(answer: Answer, code: str, words: str, message: str) -> SourceError | None:
    status = answer.status
    if status == 401:
        lasting = any(phrase in message for phrase in _LASTING_401)
        return AuthError(words, status=status) if lasting or code != "INVALID_SESSION_ID" else SessionExpired(words, status=status)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return QuotaError(words, status=status)
    if code == "UNABLE_TO_LOCK_ROW":
        return RowLocked(words, status=status)
    if code in _TRANSIENT:
        return TransientError(words, status=status)
    if code in _AUTH:
        return AuthError(words, status=status)
    if 400 <= status < 500 and status not in (406, 408, 412, 420, 428, 429):
        return PermanentError(words, status=status)
    return None


def _login_refused(answer: Answer, said: dict[str, Any]) -> SourceError:
    words = f"{answer.place}: {said.get('error')}: {said.get('error_description') or 'no reason given'}"
    return AuthError(words[:400], status=answer.status) if answer.status < 500 else TransientError(words[:400], status=answer.status)


def several_fit(answer: Answer) -> str:
    """The words for a 300: more than one record has the external id."""
    return f"{answer.place}: more than one record has this number: {excerpt(answer.body, 200)}"

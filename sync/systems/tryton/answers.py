"""What the server's answers mean. A 200 is not success: what went wrong stands in `error`, by the name of an exception."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import msgspec

from sync.errors import AuthError, ConflictError, PermanentError, QuotaError, SourceError, TransientError, UnknownOutcome
from sync.http import Answer
from sync.strict_json import NotStrict, loads

_KEY_ERROR = re.compile(r"^'([^'\n]{1,200})'$")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class SessionExpired(AuthError):
    """The session is no longer good; a new login may be."""


class Warned(PermanentError):
    """The server asks a person to confirm: `name` is how the confirmation is remembered."""

    def __init__(self, detail: str, *, name: str) -> None:
        super().__init__(detail, status=200)
        self.name = name


def explain(answer: Answer) -> SourceError | None:
    """The error that a status means here; the bodies are HTML pages and say nothing. None leaves it to the status."""
    if answer.status == 401:
        return SessionExpired(f"{answer.place}: the login or the session is refused", status=401)
    if answer.status == 403:
        return PermanentError(f"{answer.place}: refused: no such method, or this user may not call it", status=403)
    if answer.status == 404:
        return PermanentError(
            f"{answer.place}: nothing is there: no database of this name, or not a Tryton server's address (base_url is its root)",
            status=404,
        )
    return None


def result_of(answer: Answer, what: str, *, write: bool = False) -> Any:
    """The `result` of an answer; raises the error that stands in its place. `what` names the call in words."""
    try:
        said = loads(answer.body)
    except NotStrict as error:
        _lost(f"{what}: the answer is {error}", write=write)
    checked(said, what, write=write)
    return said["result"]


def believed(answer: Answer, what: str) -> None:
    """Passes when the answer of a read holds a result; raises the error that stands in its place. Records are judged later."""
    try:
        members = _MEMBERS.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if b'"error"' in answer.body[:200] or b'"result"' not in answer.body[:200]:
            raise TransientError(f"{what}: the answer is no JSON object", status=answer.status) from None
        return  # a record that is no strict JSON costs itself only
    if "error" in members or "result" not in members:
        result_of(answer, what)


def checked(said: Any, what: str, *, write: bool = False) -> None:
    """Passes when `said` is an answer with a result; raises the error that it holds otherwise."""
    if isinstance(said, dict) and said.get("error") is not None:
        raise error_of(said["error"], what, write=write)
    if not isinstance(said, dict) or "result" not in said:
        _lost(f"{what}: the answer holds neither result nor error", write=write)


def error_of(error: Any, what: str, *, write: bool = False) -> SourceError:
    """The error that [name, ...] means: the name decides whether the same call may go through later."""
    kind, said = _taken_apart(error)
    words = ": ".join(str(part).strip() for part in said[:2] if part)[:400]
    if kind == "UserWarning":
        name = str(said[0]) if said else ""
        return Warned(f"{what}: a warning has to be confirmed: {' '.join(map(str, said[1:2]))}"[:400], name=name)
    if kind == "ConcurrencyException":
        return ConflictError(f"{what}: the record changed since it was read {words}".rstrip(), status=200)
    if kind == "LoginException":
        return AuthError(f"{what}: the login asks for more than a password: {words}", status=200)
    if kind == "RateLimitException":
        return QuotaError(f"{what}: too many logins: asked to wait", status=200)
    if kind.endswith(("Error", "Warning", "Exception")) and said:
        return PermanentError(f"{what}: {words or kind}", status=200)
    missing = _KEY_ERROR.match(kind)
    if missing and missing.group(1) == "res.user":
        return PermanentError(
            f"{what}: the server has not loaded this database: it was started without naming it (trytond -d DATABASE), or it is not one of its own",
            status=200,
        )
    if missing:
        return PermanentError(
            f"{what}: the server knows no {missing.group(1)!r}: a module is not installed, or a field is named otherwise", status=200
        )
    if write:
        return UnknownOutcome(f"{what}: the server broke off: it may or may not have been done", status=200)
    return TransientError(f"{what}: the server broke off: {kind[:200] or 'no reason given'}", status=200)


def _taken_apart(error: Any) -> tuple[str, list[Any]]:
    """([name or message], what it says); a trace of the server's own stack is not said on."""
    if not isinstance(error, list) or not error:
        return (error if isinstance(error, str) else ""), []
    rest = error[1] if len(error) > 1 else None
    return str(error[0]), rest if isinstance(rest, list) else []


def _lost(words: str, *, write: bool) -> NoReturn:
    if write:
        raise UnknownOutcome(f"{words}: it may or may not have been done")
    raise TransientError(words)

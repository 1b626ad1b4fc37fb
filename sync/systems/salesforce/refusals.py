"""Why a login was refused, and what the org's administrator has to do about it."""

from __future__ import annotations

from sync.errors import AuthError, QuotaError, SourceError, TransientError
from sync.http import Answer, wall_clock
from sync.http_gate import retry_at
from sync.strict_json import NotStrict, loads

_PASSING = ("server_error", "temporarily_unavailable", "unknown_error", "retry")
_WAIT = ("rate exceeded", "login_rate_exceeded", "limit exceeded")
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        "user hasn't approved this consumer",
        ("in the app's OAuth policies set Permitted Users to 'Admin approved users are pre-authorized'"
        " and assign the app to the integration user's profile or permission set"),
    ),
    (
        "not admin approved to access this app",
        "assign the app to the integration user's profile or permission set (app policies, Manage Profiles or Manage Permission Sets)",
    ),
    ("no client credentials user enabled", "name a run-as user in the app's client credentials policy"),
    ("client identifier invalid", "the consumer key is not one of this org: copy it again, and give a new app ten minutes to spread"),
    ("invalid client credentials", "the consumer secret is not this app's: copy it again from the app"),
    ("expired access/refresh token", "the grant was revoked or has run out: approve the app for the integration user again"),
    ("audience", ("the JWT's audience is not this org's: set the option audience to https://login.salesforce.com, or to"
     " https://test.salesforce.com for a sandbox")),
    ("assertion", ("the certificate in the app is not the one that belongs to our private key, or our clock is off:"
     " upload the certificate again and compare the clocks")),
    ("inactive", "the integration user or the org is inactive: activate it"),
    ("invalid_client_id", "the consumer key is not one of this org: copy it again, and give a new app ten minutes to spread"),
    ("invalid_client", "the consumer key or secret is not this app's: copy both again from the app"),
    ("invalid_app_access", "assign the app to the integration user's profile or permission set"),
    ("unsupported_grant_type", "enable this flow in the app's OAuth settings; client credentials work at the org's My Domain address only"),
    ("invalid_grant", ("look at the app's policies, the integration user's state and IP ranges, and for a JWT at certificate, username,"
     " audience and clock")),
)  # fmt: skip


def login_refused(answer: Answer) -> SourceError | None:
    """The error that a token endpoint's object means, with what to do; None when the answer is no such object."""
    try:
        said = loads(answer.body)
    except NotStrict:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("error"), str):
        return None
    code, reason = said["error"], str(said.get("error_description") or "no reason given")
    words = f"{answer.place}: {code}: {' '.join(reason.split())}"[:300]
    heard = f"{code} {reason}".lower().replace("\u2019", "'")
    wait = retry_at(answer.headers.get("retry-after"), now=wall_clock())
    if answer.status in (420, 429) or (answer.status == 503 and wait is not None) or any(word in heard for word in _WAIT):
        return QuotaError(words, retry_at=wait, status=answer.status)
    if answer.status >= 500 or any(word in heard for word in _PASSING):
        return TransientError(words, status=answer.status)
    advice = next((what for word, what in _ADVICE if word in heard), "ask the org's administrator")
    return AuthError(f"{words}. {advice[0].upper()}{advice[1:]}.", status=answer.status)

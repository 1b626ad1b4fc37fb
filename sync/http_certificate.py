"""What a TLS alert of the other side says about our certificate, in words."""

from __future__ import annotations

import ssl

from sync.errors import AuthError, SourceError, TransientError

_ALERTS = {
    "UNKNOWN_CA": "it does not know the authority that signed it",
    "CERTIFICATE_EXPIRED": "it is expired",
    "CERTIFICATE_REVOKED": "it is revoked",
    "BAD_CERTIFICATE": "it can't be verified",
    "UNSUPPORTED_CERTIFICATE": "it is of a kind that is not taken, or not one for clients",
    "CERTIFICATE_UNKNOWN": "it is not accepted",
    "ACCESS_DENIED": "it may not come in",
    "DECRYPT_ERROR": "its signature does not fit",
}


def certificate_refused(place: str, error: BaseException, *, shown: bool) -> SourceError | None:
    """The error of a TLS handshake that ended over our certificate, before anything was asked; None for any other. `shown`: we have one.

    AuthError where the other side names the certificate: a person has to act. TransientError where it says no more than that it ended.
    """
    alert = _alert(error)
    if alert is None:
        return None
    if alert == "CERTIFICATE_REQUIRED" or (alert != "HANDSHAKE_FAILURE" and not shown):
        return AuthError(f"{place}: the host wants a client certificate and was shown none: name one in client_cert and client_key")
    if alert == "HANDSHAKE_FAILURE":
        other = "another client certificate than ours" if shown else "a client certificate (client_cert, client_key)"
        return TransientError(f"{place}: no connection: the host ended the TLS handshake: it may want {other}, or speak another TLS")
    return AuthError(f"{place}: the host refuses our client certificate: {_ALERTS[alert]} ({alert.lower().replace('_', ' ')})")


def _alert(error: BaseException) -> str | None:
    """The alert by which the other side ended the handshake, however deep the error is wrapped."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            reason = str(seen.reason or "").upper().replace(" ", "_")
            _, marked, name = reason.partition("ALERT_")
            return name if marked and name in (*_ALERTS, "CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE") else None
        seen = seen.__cause__ or seen.__context__
    return None

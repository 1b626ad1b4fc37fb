"""A host's sessions: the cookies that belong together, and the CSRF token that each of them has."""

from __future__ import annotations

import secrets

from starlette.requests import Request

_SESSION, _XSRF = "SAP_SESSIONID_S4H_100", "sap-XSRF_S4H_100"


class Sessions:
    """Sessions in memory."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[str, str]] = {}

    def clear(self) -> None:
        """Ends all of them."""
        self._tokens.clear()

    def fetched(self, request: Request) -> list[tuple[str, str]]:
        """The headers that answer a request for a token: the token, and the cookies without which it is worth nothing."""
        if request.headers.get("x-csrf-token", "").lower() != "fetch":
            return []
        session = request.cookies.get(_SESSION) or secrets.token_urlsafe(24)
        token, proof = self._tokens.setdefault(session, (secrets.token_urlsafe(16) + "==", secrets.token_urlsafe(12)))
        return [
            ("x-csrf-token", token),
            ("set-cookie", f"{_SESSION}={session}; path=/; HttpOnly"),
            ("set-cookie", f"{_XSRF}={proof}; path=/; HttpOnly"),
            ("set-cookie", "sap-usercontext=sap-client=100; path=/"),
        ]

    def accepts(self, request: Request, *, expired: bool) -> bool:
        """Whether a change may pass: its session's token and all its cookies; `expired`: none may, and all are void."""
        if expired:
            self.clear()
        token, proof = self._tokens.get(request.cookies.get(_SESSION, ""), ("", ""))
        return bool(token) and token == request.headers.get("x-csrf-token") and request.cookies.get(_XSRF) == proof

"""Who may ask a host: user and password, a token of its OAuth 2 server, or an API key; the same secret stands behind all three."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

TOKEN = "/sap/bc/sec/oauth2/token"  # noqa: S105  (an address)
LASTS = 1800


class Access:
    """The credentials of one host, and the tokens that it has given out."""

    def __init__(self, user: str, password: str) -> None:
        self._password = password
        self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._user = user
        self._tokens: dict[str, float] = {}

    def admits(self, request: Request) -> bool:
        """Whether the request shows one of them."""
        given = request.headers.get("authorization", "")
        if given.startswith("Bearer "):
            return self._tokens.get(given.removeprefix("Bearer "), 0.0) > time.monotonic()
        if not given:
            return hmac.compare_digest(request.headers.get("apikey", "").encode(), self._password.encode())
        return hmac.compare_digest(given.encode(), self._basic.encode())

    def void(self) -> None:
        """Ends every token."""
        self._tokens.clear()

    def login(self, request: Request, body: bytes) -> Response:
        """The answer of the token server: client credentials, as basic authentication or in the form."""
        form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        given = request.headers.get("authorization", "")
        if not given:
            pair = f"{form.get('client_id', '')}:{form.get('client_secret', '')}"
            given = "Basic " + base64.b64encode(pair.encode()).decode()
        if not hmac.compare_digest(given.encode(), self._basic.encode()):
            return JSONResponse({"error": "invalid_client", "error_description": "Client credentials invalid"}, 401)
        if form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = time.monotonic() + LASTS
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": LASTS})

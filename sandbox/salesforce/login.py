"""Who may log in to the org: the app by its secret, or an integration user by a JWT that the app's certificate proves."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from urllib.parse import unquote

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
LIFE_SECONDS = 180


def refusal(
    form: Mapping[str, str], basic: str, known: tuple[str, str], certificates: Mapping[str, str], own_url: str
) -> tuple[str, str] | None:
    """Why this token request is refused, as error and description; None when it is not. `known`: the app's key and secret."""
    grant = form.get("grant_type")
    if grant == JWT:
        return _assertion_refused(form.get("assertion", ""), known[0], certificates, (*AUDIENCES, own_url))
    if grant != "client_credentials":
        return "unsupported_grant_type", "grant type not supported"
    given = (form.get("client_id", ""), form.get("client_secret", ""))
    if basic.startswith("Basic "):
        user, _, word = base64.b64decode(basic[6:]).decode("utf-8", "replace").partition(":")
        given = (unquote(user), unquote(word))
    if given[0] != known[0]:
        return "invalid_client_id", "client identifier invalid"
    if not secrets.compare_digest(given[1].encode(), known[1].encode()):
        return "invalid_client", "invalid client credentials"
    return None


def _assertion_refused(text: str, client_id: str, certificates: Mapping[str, str], audiences: tuple[str, ...]) -> tuple[str, str] | None:
    keys = list(certificates.items())
    for username, public_key in keys:
        try:
            claims = jwt.decode(text, RSAKey.import_key(public_key), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            continue
        if claims.get("iss") != client_id:
            return "invalid_client_id", "client identifier invalid"
        if claims.get("sub") != username:
            return "invalid_grant", "user hasn't approved this consumer"
        if claims.get("aud") not in audiences:
            return "invalid_grant", "audience is invalid"
        left = claims.get("exp", 0) - time.time()
        return None if 0 < left <= LIFE_SECONDS + 30 else ("invalid_grant", "expired authorization code")
    return "invalid_grant", "invalid assertion" if keys else "user hasn't approved this consumer"

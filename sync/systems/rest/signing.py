"""Signatures of a request: HMAC over what is declared, and OAuth 1.0a (RFC 5849). Pure: time and nonce come in as arguments."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from sync.systems.rest.logins import Auth

_PLACE = re.compile(r"\{(?:secret:(?P<secret>[a-z0-9_]+)|(?P<name>[a-z0-9_]+))\}")


def hmac_headers(
    auth: Auth, secret: Callable[[str], str], method: str, url: str, body: bytes, *, now: datetime, nonce: str
) -> dict[str, str]:
    """The headers that `auth` of kind hmac declares, for a request to `url` (whole). `now`: wall time, UTC. ValueError for a key that is not
    written in its encoding.
    """
    told = _told(auth, method, url, body, now, nonce)

    def fill(template: str) -> str:
        return _PLACE.sub(lambda found: secret(found["secret"]) if found["secret"] else told.get(found["name"], found[0]), template)

    signed = hmac.new(_key(auth, secret("secret")), fill(auth.sign or "").encode(), auth.digest).digest()
    told["signature"] = signed.hex() if auth.encoding == "hex" else base64.b64encode(signed).decode()
    return {name: fill(template) for name, template in auth.headers.items()}


def oauth1_header(auth: Auth, secret: Callable[[str], str], method: str, url: str, *, now: datetime, nonce: str) -> str:
    """The Authorization header of OAuth 1.0a with HMAC-SHA256 (or as `digest` says). `now`: wall time, UTC."""
    split = urlsplit(url)
    given = {
        "oauth_consumer_key": secret("consumer_key"), "oauth_token": secret("token"), "oauth_signature_method": f"HMAC-{auth.digest.upper()}",
        "oauth_timestamp": str(int(now.timestamp())), "oauth_nonce": nonce, "oauth_version": "1.0",
    }  # fmt: skip
    pairs = [*parse_qsl(split.query, keep_blank_values=True), *given.items()]
    normal = "&".join(f"{name}={value}" for name, value in sorted((_quoted(name), _quoted(value)) for name, value in pairs))
    place = urlunsplit((split.scheme.lower(), split.netloc.lower(), split.path, "", ""))
    base = "&".join((method.upper(), _quoted(place), _quoted(normal)))
    key = f"{_quoted(secret('consumer_secret'))}&{_quoted(secret('token_secret'))}"
    signed = hmac.new(key.encode(), base.encode(), auth.digest).digest()
    shown = {**({"realm": auth.realm} if auth.realm else {}), **given, "oauth_signature": base64.b64encode(signed).decode()}
    return "OAuth " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in shown.items())


def _told(auth: Auth, method: str, url: str, body: bytes, now: datetime, nonce: str) -> dict[str, str]:
    split = urlsplit(url)
    target = split.path + (f"?{split.query}" if split.query else "")
    seconds = now.timestamp()
    stamp = {
        "seconds": str(int(seconds)), "milliseconds": str(int(seconds * 1000)), "iso": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }[auth.timestamp]  # fmt: skip
    told: Mapping[str, str] = {
        "timestamp": stamp, "nonce": nonce, "method": method, "path": split.path, "query": split.query, "target": target, "url": url,
        "host": split.netloc, "body": body.decode(), "body_sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    return dict(told)


def _key(auth: Auth, text: str) -> bytes:
    if auth.key_encoding == "text":
        return text.encode()
    return bytes.fromhex(text) if auth.key_encoding == "hex" else base64.b64decode(text, validate=True)


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")

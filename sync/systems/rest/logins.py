"""How one logs in to a declared application: which secrets it takes, where they go, how a token is fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sync.declared.declaration import Part
from sync.systems.rest import paths
from sync.systems.rest.asking import texts_in

_SECRET = re.compile(r"\{secret:([a-z0-9_]+)\}")
_NAMED = {"header": "header", "query": "parameter"}
_SIGNED = re.compile(r"\{([^{}]*)\}")
SIGNED = ("timestamp", "nonce", "method", "path", "query", "target", "url", "host", "body", "body_sha256")
"""What may be signed, each as `{name}`; `target` is path and query as they stand in the request."""


class Auth(Part):
    """How one logs in; the secrets of the connection hold what is secret.

    basic: secrets user, password. bearer: token. header, query: key, under `name`, with `prefix` before it. oauth2: a token from `token_url`, by
    the `grant`, sent in the header `name` after `prefix`. oauth1: secrets consumer_key, consumer_secret, token, token_secret. hmac: a signature by
    the secret `secret`, in the declared headers.
    """

    kind: Literal["none", "basic", "bearer", "header", "query", "oauth2", "oauth1", "hmac"] = "none"
    name: str | None = None
    prefix: str | None = None
    token_url: str | None = None
    grant: Literal["client_credentials", "refresh_token", "password", "none"] = "client_credentials"
    """refresh_token: secret refresh_token. password: secrets user, password. none: only what `params` say."""
    scope: str | None = None
    params: dict[str, str] = Field(default_factory=dict)
    """Further fields of the token request, such as audience."""
    client_in: Literal["basic", "body", "none"] = "basic"
    send: Literal["form", "json"] = "form"
    headers: dict[str, str] = Field(default_factory=dict)
    """hmac: the headers of each request. oauth2: further headers of the token request."""
    token: str = "access_token"  # noqa: S105 - a path
    expires: str = "expires_in"
    """Where the token and its life in seconds stand in the answer."""
    realm: str | None = None
    sign: str | None = None
    digest: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    key_encoding: Literal["text", "base64", "hex"] = "text"
    timestamp: Literal["seconds", "milliseconds", "iso"] = "seconds"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind in _NAMED and not self.name:
            raise ValueError(f"auth of kind {self.kind} needs the name of its {_NAMED[self.kind]}")
        if self.kind == "oauth2" and not self.token_url:
            raise ValueError("auth of kind oauth2 needs token_url, the whole address of the token")
        if self.kind == "hmac":
            if not self.sign or not any("{signature}" in text for text in self.headers.values()):
                raise ValueError(
                    'auth of kind hmac needs sign, what is signed, such as "{timestamp}{method}{target}{body}", and headers, one with {signature}'
                )
            unknown = [name for name in _SIGNED.findall(self.sign) if name not in SIGNED and not name.startswith("secret:")]
            if unknown:
                raise ValueError(f"sign names {{{unknown[0]}}}, which is not known; known: {', '.join(SIGNED)}, secret:NAME")
        paths.steps(self.token)
        paths.steps(self.expires)
        return self

    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that this way of logging in takes."""
        if self.kind == "oauth2":
            client = () if self.client_in == "none" else ("client_id", "client_secret")
            return client + {"refresh_token": ("refresh_token",), "password": ("user", "password")}.get(self.grant, ())
        return {
            "basic": ("user", "password"), "bearer": ("token",), "header": ("key",), "query": ("key",), "hmac": ("secret",),
            "oauth1": ("consumer_key", "consumer_secret", "token", "token_secret"),
        }.get(self.kind, ())  # fmt: skip


def secrets_named(options: Any) -> set[str]:
    """The secrets that stand as {secret:NAME} anywhere in the options."""
    return {name for text in texts_in(options) for name in _SECRET.findall(text)}


def filled(templates: Mapping[str, str], secret: Any) -> dict[str, str]:
    """The texts with their {secret:NAME} filled in."""
    return {name: _SECRET.sub(lambda found: str(secret(found[1])), text) for name, text in templates.items()}

"""How a host is convinced that we may ask: basic authentication, OAuth 2 client credentials, an API key, beside any client certificate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from sync.connections import ConfigError, Connection
from sync.errors import AuthError, TransientError
from sync.http import Answer, Client, wall_clock
from sync.log_in import LoggedIn
from sync.systems.sap_s4.settings import Settings

EARLY = timedelta(seconds=60)
"""A token is renewed so long before its end, so that it does not run out on the way."""
_WITHOUT_END = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Token:
    secret: SecretStr
    until: datetime


class Access:
    """The credentials of one connection, by what its secrets are: user and password, client_id and client_secret, or an api_key alone.

    Tokens are fetched through `client`. Safe to share between threads. ConfigError when the connection names none, or tokens without the
    address they come from.
    """

    def __init__(
        self, connection: Connection, settings: Settings, client: Callable[[], Client], *, wall: Callable[[], datetime] = wall_clock
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._client = client
        self._wall = wall
        self._token = LoggedIn(
            self._login, refused=lambda error: error.status == 401, good=lambda token: self._wall() < token.until
        )  # fmt: skip
        named = connection.secrets
        self.tokens = "client_id" in named
        self._pair: tuple[str, str] | None = None
        if self.tokens:
            if settings.token_url is None:
                raise ConfigError(f"connection {connection.name}: client_id needs the option token_url: where its tokens come from")
            self._pair = _pair(connection, "client_id", "client_secret")
        elif "user" in named or ("api_key" not in named and "client_cert" not in connection.options):
            self._pair = _pair(connection, "user", "password")
        self._key = connection.secret("api_key").get_secret_value() if "api_key" in named else None

    def __repr__(self) -> str:
        return f"Access({self._connection.name})"

    @property
    def basic(self) -> tuple[str, str] | None:
        """User and password for basic authentication, where that is how."""
        return None if self.tokens else self._pair

    def call(self, once: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """What `once` returns, given the headers that prove who asks. A token is fetched when there is none that lasts, and renewed once
        when it is refused. Raises sync.errors.
        """
        key = {"APIKey": self._key} if self._key else {}
        if not self.tokens:
            return once(key)
        return self._token.call(lambda token: once({**key, "Authorization": f"Bearer {token.secret.get_secret_value()}"}))

    def _login(self) -> _Token:
        assert self._settings.token_url is not None  # noqa: S101  (checked when it was made)
        assert self._pair is not None  # noqa: S101
        form = {"grant_type": "client_credentials", **({"scope": self._settings.scope} if self._settings.scope else {})}
        basic: tuple[str, str] | None = self._pair
        if self._settings.token_credentials == "form":  # noqa: S105  (no password: where it goes)
            form |= {"client_id": self._pair[0], "client_secret": self._pair[1]}
            basic = None
        asked = {"Accept": "application/json"}
        answer = self._client().send(
            "POST", self._settings.token_url, headers=asked, form=form, basic=basic, expect="any", accept=(400, 401, 403)
        )
        said = _json(answer)
        if answer.status >= 400 or (said.get("error") and "access_token" not in said):
            why = " ".join(str(said[name]) for name in ("error", "error_description") if said.get(name)) or f"answered {answer.status}"
            kind = TransientError if said.get("error") in ("temporarily_unavailable", "server_error") else AuthError
            raise kind(f"{answer.place}: no token: {why}"[:300], connection=self._connection.name, status=answer.status)
        token, form_of = said.get("access_token"), str(said.get("token_type") or "Bearer")
        if not isinstance(token, str) or not token:
            raise TransientError(f"{answer.place}: the answer holds no access_token", connection=self._connection.name)
        if not form_of.lower().startswith("bearer"):
            raise AuthError(
                f"{answer.place}: the token is of the type {form_of[:40]!r}, which is not used here: Bearer is",
                connection=self._connection.name,
            )
        return _Token(SecretStr(token), self._wall() + _lasts(said.get("expires_in")))


def _lasts(said: object) -> timedelta:
    """How long a token is used: to a little before its end, or half its time where it is that short. Where it names no end, or one that
    is none, for a while: it is renewed anyway once it is refused.
    """
    found = re.fullmatch(r"(\d{1,12})(?:\.\d*)?", str(said).strip())
    whole = timedelta(seconds=min(int(found[1]), 86_400 * 30)) if found else timedelta()
    return max(whole - EARLY, whole / 2) if whole else _WITHOUT_END


def _json(answer: Answer) -> dict[str, Any]:
    if answer.status >= 400 and "json" not in answer.content_type:
        return {}
    said = answer.json()
    return said if isinstance(said, dict) else {}


def _pair(connection: Connection, user: str, password: str) -> tuple[str, str]:
    return connection.secret(user).get_secret_value(), connection.secret(password).get_secret_value()

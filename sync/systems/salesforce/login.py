"""A token from the org: client credentials, or a JWT that the integration user's certificate signed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from sync.connections import ConfigError, Connection
from sync.errors import TransientError
from sync.http import Client, error_of, wall_clock
from sync.systems.salesforce.refusals import login_refused
from sync.systems.salesforce.settings import Settings

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_SECONDS = 170
"""Salesforce takes three minutes at most; less leaves room for a clock that is a little ahead."""
RSA_BITS_MIN = 2048
_REFUSALS = (400, 401, 403, 404)
"""A refusal in the org's words; a wait (420, 429) is one of the whole connection."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the root of the API that it is for. `told`: the instance that the org named, followed or not."""

    secret: SecretStr
    root: str
    told: str | None = None
    identity: str | None = None


class Login:
    """Fetches tokens for one connection. ConfigError when a secret is missing or the key is none."""

    def __init__(self, connection: Connection, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._settings = settings
        self._clock = clock
        self._id = connection.secret("client_id")
        self._secret = connection.secret("client_secret") if settings.auth == "client_credentials" else None
        self._key = self._read_key() if settings.auth == "jwt" else None
        self._user = self._read_user() if settings.auth == "jwt" else ""

    def __repr__(self) -> str:
        return f"Login({self._connection.name})"

    def token(self, client: Client) -> Token:
        """A new token. Raises AuthError with the org's reason and what to do, TransientError when the answer is no token."""
        form, basic = self._form()
        answer = client.send("POST", self._settings.token_url, form=form, basic=basic, accept=_REFUSALS)
        if answer.status >= 400:
            error = login_refused(answer) or error_of(answer, now=wall_clock())
            error.connection = self._connection.name
            raise error
        given = answer.json() if answer.content_type == "application/json" else None
        said = given if isinstance(given, dict) else {}
        token = said.get("access_token")
        if not isinstance(token, str) or not token:
            raise TransientError(f"{answer.place}: the answer holds no access_token", connection=self._connection.name)
        told = said.get("instance_url")
        identity = said.get("id")
        named = told if isinstance(told, str) else None
        return Token(SecretStr(token), self._root(named), named, identity if isinstance(identity, str) else None)

    def _root(self, told: str | None) -> str:
        """Where the API is: the instance that the org names, if the connection allows it; else the address it was given."""
        allowed = [self._settings.base_url, *self._settings.instance_urls]
        if told is not None:
            for url in allowed:
                if _origin(url) == _origin(told):
                    return url.rstrip("/")
        return self._settings.base_url.rstrip("/")

    def _form(self) -> tuple[dict[str, str], tuple[str, str] | None]:
        client_id = self._id.get_secret_value()
        if self._key is not None:
            return {"grant_type": JWT_GRANT, "assertion": self._assertion(self._key)}, None
        secret = self._secret.get_secret_value() if self._secret is not None else ""
        form = {"grant_type": "client_credentials"}
        if self._settings.client_auth == "basic":
            return form, (client_id, secret)
        return {**form, "client_id": client_id, "client_secret": secret}, None

    def _assertion(self, key: RSAKey) -> str:
        claims = {
            "iss": self._id.get_secret_value(),
            "sub": self._user,
            "aud": self._settings.token_audience,
            "exp": int(self._clock()) + JWT_SECONDS,
        }
        return jwt.encode({"alg": "RS256"}, claims, key, algorithms=["RS256"])

    def _read_key(self) -> RSAKey:
        where = f"connection {self._connection.name}: secret 'private_key'"
        try:
            key = RSAKey.import_key(self._connection.secret("private_key").get_secret_value())
        except (JoseError, ValueError, TypeError):
            raise ConfigError(f"{where} is no RSA key in PEM form without a passphrase") from None
        if not key.is_private:
            raise ConfigError(f"{where} is a public key or a certificate: the private key signs, the certificate goes into the org")
        if key.raw_value.key_size < RSA_BITS_MIN:
            raise ConfigError(f"{where} is shorter than {RSA_BITS_MIN} bits")
        return key

    def _read_user(self) -> str:
        user = self._settings.username
        if user is None and "username" in self._connection.secrets:
            user = self._connection.secret("username").get_secret_value()
        if not user:
            raise ConfigError(f"connection {self._connection.name}: a JWT login needs the integration user's name: add the option username")
        return user


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        split = urlsplit(url)
        return split.scheme, (split.hostname or "").lower(), split.port or (443 if split.scheme == "https" else 80)
    except ValueError:
        return "", "", None

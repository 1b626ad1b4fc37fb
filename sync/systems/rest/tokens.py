"""The token of OAuth2 and of log-ins like it: fetched as declared, used for as long as it lasts, its refresh token kept where it lies."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sync.connections import Connection
from sync.errors import AuthError, SourceError, TransientError
from sync.http import Answer, Client, error_of, wall_clock
from sync.systems.rest.logins import Auth, filled
from sync.systems.rest.paths import at
from sync.systems.rest.values import plain

_EARLY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Token:
    """What goes into the header, and until when (wall time, UTC) it is good; None: until it is refused."""

    secret: SecretStr = field(repr=False)
    until: datetime | None

    @property
    def lasts(self) -> bool:
        """Whether it can still be used."""
        return self.until is None or wall_clock() < self.until


class Tokens:
    """Fetches tokens for one connection. `words`: what an answer says is wrong, without our secrets."""

    def __init__(self, connection: Connection, auth: Auth, client: Client, words: Callable[[Answer], str]) -> None:
        self._connection = connection
        self._auth = auth
        self._client = client
        self._words = words
        self._refresh: str | None = None
        """A refresh token that came with the last answer, where the declared one can't be replaced."""

    def fetch(self) -> Token:
        """A new token. Raises AuthError when it is refused, in the application's own words."""
        with self._alone():
            answer = self._asked()
            if answer.status >= 400:
                raise self._refused(answer)
            said = answer.json()
            token = plain(at(said, self._auth.token))
            if not token or isinstance(at(said, self._auth.token), bool | dict | list):
                raise TransientError(f"{answer.place}: the answer holds no {self._auth.token}", connection=self._connection.name)
            if self._auth.grant == "refresh_token":
                self._keep(at(said, "refresh_token"))
        return Token(SecretStr(token), self._until(at(said, self._auth.expires)))

    def _asked(self) -> Answer:
        auth = self._auth
        fields: dict[str, str] = {} if auth.grant == "none" else {"grant_type": auth.grant}
        if auth.grant == "refresh_token":
            fields["refresh_token"] = self._refresh or self._secret("refresh_token")
        elif auth.grant == "password":
            fields |= {"username": self._secret("user"), "password": self._secret("password")}
        if auth.scope:
            fields["scope"] = auth.scope
        fields |= filled(auth.params, self._secret)
        headers = filled(auth.headers, self._secret)
        basic: tuple[str, str] | None = None
        if auth.client_in != "none":
            basic = (self._secret("client_id"), self._secret("client_secret"))
            if auth.client_in == "body":
                fields |= {"client_id": basic[0], "client_secret": basic[1]}
                basic = None
        url = str(auth.token_url)
        if auth.send == "form":
            return self._client.send("POST", url, form=fields, headers=headers, basic=basic, accept=range(400, 500), expect="any")
        content = json.dumps(fields).encode()
        headers = {"Content-Type": "application/json", **headers}
        return self._client.send("POST", url, content=content, headers=headers, basic=basic, accept=range(400, 500), expect="any")

    def _refused(self, answer: Answer) -> SourceError:
        """A token that is refused with 400 or 403 is as final as one that is refused with 401; a 429 is a wait."""
        error = error_of(answer, now=wall_clock())
        if answer.status in (400, 401, 403):
            words = self._words(answer) or "the client is refused"
            error = AuthError(f"{answer.place}: answered {answer.status}: {words}", status=answer.status)
        error.connection = self._connection.name
        return error

    def _until(self, seconds: Any) -> datetime | None:
        with suppress(ValueError, OverflowError):
            life = timedelta(seconds=float(str(seconds)))
            return wall_clock() + life - min(_EARLY, life / 2)
        return None

    def _secret(self, name: str) -> str:
        return self._connection.secret(name).get_secret_value()

    def _file(self) -> Path | None:
        """Where the refresh token lies, if in a file."""
        kind, _, place = self._connection.secrets.get("refresh_token", "").partition(":")
        return Path(place).expanduser() if kind == "file" else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process of this machine uses the same refresh token meanwhile: many are good for once only."""
        file = self._file() if self._auth.grant == "refresh_token" else None
        if file is None or not os.access(file.parent, os.W_OK):
            yield
            return
        with file.with_name(f"{file.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _keep(self, new: Any) -> None:
        """A new refresh token takes the place of the one that was used: in its file, or for as long as this process lives."""
        if not isinstance(new, str) or not new or new == self._secret("refresh_token"):
            return
        self._refresh = new
        file = self._file()
        if file is None:
            return
        try:
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as written:
                written.write(new)
            Path(written.name).replace(file)
            self._refresh = None
        except OSError as error:
            raise AuthError(
                f"the application gave a new refresh token, which can't be kept in {file}: {error.strerror}; let us write there",
                connection=self._connection.name,
            ) from None

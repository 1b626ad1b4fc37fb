"""Requests to a declared application with its way of logging in; its own words in errors, its secrets never in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from pydantic import SecretStr

from sync.connections import Connection
from sync.errors import AuthError, PermanentError, SourceError, TransientError
from sync.http import Answer, Client, error_of, wall_clock
from sync.log_in import LoggedIn
from sync.strict_json import NotStrict, loads
from sync.systems.rest.declaration import Application
from sync.systems.rest.paths import at

_SECRETS = {
    "none": (), "basic": ("user", "password"), "bearer": ("token",), "header": ("key",), "query": ("key",), "oauth2": ("client_id", "client_secret"),
}  # fmt: skip
_WORDS = ("error.message", "error_description", "message", "detail", "errors[0].message", "errors[0].detail", "errors[0]", "error", "title")


class TokenRefused(AuthError):
    """A 401: a token that was fetched may be renewed once."""


class Session:
    """Reads with the declared login. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, application: Application) -> None:
        self._connection = connection
        self._application = application
        auth = application.auth
        # a key as the user's name, and no password, is a common form of basic authorisation
        needed = [name for name in _SECRETS[auth.kind] if name != "password" or name in connection.secrets]
        self._secrets = {name: connection.secret(name) for name in needed}
        self.client = Client(
            connection,
            application.base_url,
            origins=(auth.token_url,) if auth.token_url else (),
            explain=self._explain,
            headers={"Accept": "application/json", **application.headers},
            deadline_seconds=application.deadline_seconds,
        )
        self._token = LoggedIn(self._fetched, refused=lambda error: isinstance(error, TokenRefused))

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections."""
        self.client.close()

    def read(self, path: str, params: Mapping[str, str] | None = None, search: Any = None) -> Answer:
        """Reads a path below the base, or an address that the application named on one of its own hosts. `search`: what is sent as JSON by
        POST; None: nothing, by GET.
        """
        if self._application.auth.kind != "oauth2":
            return self._send(path, params, search, None)
        return self._token.call(lambda token: self._send(path, params, search, token))

    def next_to(self, page: str, address: str) -> str:
        """An address as a page named it, whole: relative ones are meant from the page's own (RFC 3986). One of our own host that is
        written with http, as a server behind a gateway does it, is asked for as we came, with https.
        """
        try:
            found = urljoin(self.client.link(page), address)
        except ValueError as error:
            raise TransientError(f"the next page's address {address[:200]!r} is none") from error
        own = urlsplit(self.client.base_url)
        if own.scheme == "https" and found.startswith("http://") and urlsplit(found).netloc == own.hostname and own.port in (None, 443):
            return urlsplit(found)._replace(scheme="https", netloc=own.netloc).geturl()
        return found

    def login(self) -> None:
        """Fetches a token where the login has one. Raises AuthError, with the application's own words, when it is refused."""
        if self._application.auth.kind == "oauth2":
            self._token.renew(self._token.held)

    def _send(self, path: str, params: Mapping[str, str] | None, search: Any, token: SecretStr | None) -> Answer:
        auth = self._application.auth
        asked = dict(params or {})
        headers: dict[str, str] = {}
        basic: tuple[str, str] | None = None
        if auth.kind == "basic":
            basic = (self._secret("user"), self._secret("password"))
        elif auth.kind == "bearer":
            headers["Authorization"] = f"Bearer {self._secret('token')}"
        elif auth.kind == "header":
            headers[str(auth.name)] = f"{auth.prefix}{self._secret('key')}"
        elif auth.kind == "query" and auth.name not in dict(parse_qsl(urlsplit(path).query, keep_blank_values=True)):
            asked[str(auth.name)] = self._secret("key")
        elif token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        if search is None:
            answer = self.client.send("GET", path, params=asked, headers=headers, basic=basic, expect="any")
        else:
            headers["Content-Type"] = "application/json"
            content = json.dumps(search).encode()
            answer = self.client.send("POST", path, params=asked, headers=headers, content=content, basic=basic, expect="any")
        if "html" in answer.content_type:
            # whatever else it is called, what is no JSON is found out by reading it
            raise TransientError(f"{answer.place}: answered {answer.status} with a page of HTML", connection=self._connection.name)
        return answer

    def _fetched(self) -> SecretStr:
        auth = self._application.auth
        form = {"grant_type": "client_credentials", **({"scope": auth.scope} if auth.scope else {}), **auth.params}
        client = (self._secret("client_id"), self._secret("client_secret"))
        basic = client if auth.client_in == "basic" else None
        if basic is None:
            form |= {"client_id": client[0], "client_secret": client[1]}
        answer = self.client.send("POST", str(auth.token_url), form=form, basic=basic, accept=range(400, 500))
        if answer.status >= 400:
            raise self._refused(answer)
        said = answer.json()
        token = said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not token:
            raise TransientError(f"{answer.place}: the answer holds no access_token", connection=self._connection.name)
        return SecretStr(token)

    def _refused(self, answer: Answer) -> SourceError:
        """A token that is refused with 400 or 403 is as final as one that is refused with 401; a 429 is a wait."""
        error = error_of(answer, now=wall_clock())
        if answer.status in (400, 401, 403):
            error = AuthError(
                f"{answer.place}: answered {answer.status}: {self._words(answer) or 'the client is refused'}", status=answer.status
            )
        error.connection = self._connection.name
        return error

    def _explain(self, answer: Answer) -> SourceError | None:
        words = self._words(answer)
        said = f": {words}" if words else ""
        if answer.status == 401:
            return TokenRefused(f"{answer.place}: answered 401: the credentials are refused{said}", status=401)
        if answer.status == 403:
            return PermanentError(f"{answer.place}: answered 403: not permitted to these credentials{said}", status=403)
        if 400 <= answer.status < 500 and answer.status not in (408, 412, 425, 428, 429) and words:
            return PermanentError(f"{answer.place}: answered {answer.status}{said}", status=answer.status)
        return None

    def _words(self, answer: Answer) -> str:
        """What the application says is wrong, on one line, none of our secrets in it."""
        try:
            said: Any = loads(answer.body)
        except NotStrict:
            return ""
        paths = (self._application.error_path,) if self._application.error_path else _WORDS
        words = next((found for path in paths if isinstance(found := at(said, path), str) and found.strip()), "")
        for secret in [*self._secrets.values(), *([self._token.held] if self._token.held else [])]:
            words = words.replace(secret.get_secret_value(), "***")
        return " ".join(words.split())[:300]

    def _secret(self, name: str) -> str:
        held = self._secrets.get(name)
        return "" if held is None else held.get_secret_value()

"""Requests to a declared application with its way of logging in; its own words in errors, its secrets never in them."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from sync.connections import ConfigError, Connection
from sync.errors import AuthError, PermanentError, SourceError, TransientError
from sync.http import Answer, Client, wall_clock
from sync.log_in import LoggedIn
from sync.strict_json import NotStrict, loads
from sync.systems.rest import logins, signing
from sync.systems.rest.asking import Question
from sync.systems.rest.declaration import Application
from sync.systems.rest.paths import at
from sync.systems.rest.tokens import Token, Tokens

_WORDS = (
    "error.message", "error_description", "message", "detail", "errors[0].message", "errors[0].detail", "errors[0]", "error", "title", "msg",
    "Message", "Detail", "error_info", "fault.faultstring", "Fault.Error[0].Detail", "Fault.Error[0].Message", "error.data.message",
    '["o:errorDetails"][0].detail', "reasons[0].message", "errors",
)  # fmt: skip


class TokenRefused(AuthError):
    """A 401: a token that was fetched may be renewed once."""


class Session:
    """Reads with the declared login. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, application: Application) -> None:
        self._connection = connection
        self._application = application
        auth = application.auth
        # a key as the user's name, and no password, is a common form of basic authorisation
        needed = [name for name in auth.secrets() if name != "password" or auth.kind != "basic" or name in connection.secrets]
        self._secrets = {name: connection.secret(name) for name in {*needed, *logins.secrets_named(connection.options)}}
        self.client = Client(
            connection,
            application.base_url,
            origins=(auth.token_url,) if auth.token_url else (),
            explain=self._explain,
            headers=_merged({"Accept": "application/json"}, logins.filled(application.headers, self.secret)),
            deadline_seconds=application.deadline_seconds,
        )
        self._tokens = Tokens(connection, auth, self.client, self.words)
        self._token = LoggedIn(self._tokens.fetch, refused=lambda error: isinstance(error, TokenRefused), good=lambda token: token.lasts)

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections."""
        self.client.close()

    def read(self, question: Question, empty: tuple[int, ...] = ()) -> Answer:
        """Asks a path below the base, or an address that the application named on one of its own hosts. `empty`: statuses from 300 on that
        say that there is nothing.
        """
        if self._application.auth.kind != "oauth2":
            return self._send(question, empty, None)
        return self._token.call(lambda token: self._send(question, empty, token))

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

    def secret(self, name: str) -> str:
        """A secret of the connection; empty where it names none."""
        held = self._secrets.get(name)
        return "" if held is None else held.get_secret_value()

    @property
    def error_path(self) -> str | None:
        """Where an error's words stand, if it is declared."""
        return self._application.error_path

    def words(self, answer: Answer, places: tuple[str, ...] = _WORDS) -> str:
        """What the application says is wrong, on one line, none of our secrets in it: at its declared place, else at the first of `places`."""
        try:
            said: Any = loads(answer.body)
        except NotStrict:
            return ""
        places = (self.error_path,) if self.error_path else places
        return self.blotted(next((text for place in places if (text := _text(at(said, place)))), ""))[:300]

    def blotted(self, text: str) -> str:
        """The text on one line, our secrets blotted out."""
        for held in [*self._secrets.values(), *([self._token.held.secret] if self._token.held else [])]:
            text = text.replace(held.get_secret_value(), "***")
        return " ".join(text.split())

    def _send(self, question: Question, empty: tuple[int, ...], token: Token | None) -> Answer:
        auth = self._application.auth
        asked = dict(question.params)
        headers = dict(question.headers)
        basic: tuple[str, str] | None = None
        method, content = ("GET", b"") if question.search is None else ("POST", json.dumps(question.search).encode())
        if content:
            headers = _merged({"Content-Type": "application/json"}, headers)
        if auth.kind == "basic":
            basic = (self.secret("user"), self.secret("password"))
        elif auth.kind in ("bearer", "header", "oauth2"):
            held = token.secret.get_secret_value() if token is not None else self.secret("token" if auth.kind == "bearer" else "key")
            default = "" if auth.kind == "header" else "Bearer "
            headers[auth.name or "Authorization"] = f"{default if auth.prefix is None else auth.prefix}{held}"
        elif auth.kind == "query" and auth.name not in dict(parse_qsl(urlsplit(question.path).query, keep_blank_values=True)):
            asked[str(auth.name)] = self.secret("key")
        elif auth.kind in ("oauth1", "hmac"):
            headers |= self._signed(method, self.client.link(question.path, asked), content)
        answer = self.client.send(
            method, question.path, params=asked, headers=headers, content=content or None, basic=basic, expect="any", accept=empty
        )
        if "html" in answer.content_type and answer.status not in empty:
            # whatever else it is called, what is no JSON is found out by reading it
            raise TransientError(
                f"{answer.place}: answered {answer.status} with a page of HTML: is base_url the address of the API, and not of its web site?",
                connection=self._connection.name,
            )
        return answer

    def _signed(self, method: str, url: str, body: bytes) -> dict[str, str]:
        auth, now, nonce = self._application.auth, wall_clock(), secrets.token_hex(16)
        if auth.kind == "oauth1":
            return {"Authorization": signing.oauth1_header(auth, self.secret, method, url, now=now, nonce=nonce)}
        try:
            return signing.hmac_headers(auth, self.secret, method, url, body, now=now, nonce=nonce)
        except ValueError:
            raise ConfigError(
                f"connection {self._connection.name}: the secret 'secret' is not written in {auth.key_encoding}; auth.key_encoding says so"
            ) from None

    def _explain(self, answer: Answer) -> SourceError | None:
        words = self.words(answer)
        said = f": {words}" if words else ""
        if answer.status == 401:
            return TokenRefused(f"{answer.place}: answered 401: the credentials are refused{said}", status=401)
        if answer.status == 403:
            return PermanentError(f"{answer.place}: answered 403: not permitted to these credentials{said}", status=403)
        if 400 <= answer.status < 500 and answer.status not in (408, 412, 425, 428, 429) and words:
            return PermanentError(f"{answer.place}: answered {answer.status}{said}", status=answer.status)
        return None


def _text(said: Any) -> str:
    """Words as they are given: a text, or a list or an object of them."""
    if isinstance(said, str):
        return said.strip()
    return json.dumps(said, default=str, ensure_ascii=False) if isinstance(said, dict | list) and said else ""


def _merged(defaults: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Our headers, unless others of the same name are given, in whichever letters."""
    names = {name.lower() for name in given}
    return {**{name: value for name, value in defaults.items() if name.lower() not in names}, **given}

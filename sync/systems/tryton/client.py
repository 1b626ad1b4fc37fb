"""A session with a Tryton database: one login, one new one when the session has ended, the user's context on every call."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from pydantic import SecretStr

from sync.connections import Connection
from sync.errors import SourceError, TransientError
from sync.http import Answer, Client
from sync.log_in import LoggedIn
from sync.systems.tryton.answers import SessionExpired, believed, explain, result_of
from sync.systems.tryton.settings import Settings
from sync.systems.tryton.values import typed


class Session:
    """Calls with a session that is opened when needed. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, settings: Settings, client: Client | None = None) -> None:
        self.settings = settings
        self._connection = connection
        self._user = connection.secret("user")
        self._password = connection.secret("password")
        self.client = client or Client(connection, settings.base_url, explain=explain, headers={"Accept": "application/json"})
        self._path = f"{quote(settings.database, safe='')}/rpc/"
        self._numbers = itertools.count(1)
        self._token = LoggedIn(self.login, refused=lambda error: isinstance(error, SessionExpired), new="a new session")
        self._context: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections; the session is left to run out."""
        self.client.close()

    def login(self) -> SecretStr:
        """A new session as the header that carries it. AuthError when user or password is refused."""
        user = self._user.get_secret_value()
        params = [user, {"password": self._password.get_secret_value()}]
        try:
            answer = self._post("common.db.login", params, token=None, write=False)
        except TransientError as error:
            # a server that can't open a database tries for half a minute before it says so
            error.detail += (
                f"; the server also keeps still when it has no database {self.settings.database!r}: check the name if this lasts"
            )
            raise
        said = result_of(answer, "login")
        if not isinstance(said, list) or len(said) < 2 or not isinstance(said[0], int) or not isinstance(said[1], str):
            raise TransientError("login: the answer is no session", connection=self._connection.name)
        return SecretStr("Session " + base64.b64encode(f"{user}:{said[0]}:{said[1]}".encode()).decode("ascii"))

    def context(self) -> Mapping[str, Any]:
        """The user's preferences, in which every call is made: company, groups, language."""
        if self._context is None:
            said = result_of(self._call("model.res.user.get_preferences", [True, {}]), "preferences")
            if not isinstance(said, dict):
                raise TransientError("preferences: the answer is no context", connection=self._connection.name)
            company = {} if self.settings.company is None else {"company": self.settings.company}
            self._context = {**said, **company}
        return self._context

    def read(self, model: str, method: str, *params: Any) -> Answer:
        """The answer of a reading method of `model`, with its bytes as they came; what stands in it as an error is raised."""
        answer = self._call(f"model.{model}.{method}", [*params, self.context()])
        try:
            believed(answer, f"{method} of {model}")
        except SourceError as error:
            error.connection = self._connection.name
            raise
        return answer

    def ask(self, model: str, method: str, *params: Any) -> Any:
        """The result of a reading method of `model`."""
        return self._result(model, method, params, write=False)

    def write(self, model: str, method: str, *params: Any, timestamps: Mapping[str, Any] | None = None) -> Any:
        """The result of a writing method; UnknownOutcome when it left and no answer came. `timestamps`: "model,number" -> the record's
        `_timestamp` when it was read: the server refuses, as ConflictError, what has been changed since.
        """
        return self._result(model, method, params, write=True, more={"_timestamp": dict(timestamps)} if timestamps else {})

    def _result(self, model: str, method: str, params: Sequence[Any], *, write: bool, more: Mapping[str, Any] | None = None) -> Any:
        answer = self._call(f"model.{model}.{method}", [*params, {**self.context(), **(more or {})}], write=write)
        try:
            return result_of(answer, f"{method} of {model}", write=write)
        except SourceError as error:
            error.connection = self._connection.name
            raise

    def _call(self, method: str, params: Sequence[Any], *, write: bool = False) -> Answer:
        return self._token.call(lambda token: self._post(method, params, token=token, write=write))

    def _post(self, method: str, params: Sequence[Any], *, token: SecretStr | None, write: bool) -> Answer:
        body = msgspec.json.encode({"id": next(self._numbers), "method": method, "params": typed(params)})
        headers = {"Content-Type": "application/json"} | ({"Authorization": token.get_secret_value()} if token else {})
        return self.client.send("POST", self._path, headers=headers, content=body, write=write)

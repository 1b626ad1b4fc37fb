"""A session with an org: client credentials, one new token when it has expired, the limit header into the budget."""

from __future__ import annotations

import threading
from collections.abc import Container, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from sync.connections import Connection
from sync.errors import AuthError, TransientError
from sync.http import Answer, Client, error_of, wall_clock
from sync.systems.salesforce.answers import SessionExpired, explain, limit_of
from sync.systems.salesforce.settings import Settings


class Session:
    """Requests with a token that is fetched when needed. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, settings: Settings, client: Client | None = None) -> None:
        self.settings = settings
        self._connection = connection
        self._id = connection.secret("client_id")
        self._secret = connection.secret("client_secret")
        self.client = client or Client(
            connection,
            settings.base_url,
            explain=explain,
            headers={"Accept": "application/json", "Sforce-Call-Options": f"client={settings.client_name}"},
        )
        self._token: SecretStr | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections; the token is left to run out."""
        self.client.close()

    def login(self) -> SecretStr:
        """A new token, not yet used by this session. Raises AuthError, with the org's own reason, when the credentials are refused."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self._id.get_secret_value(),
            "client_secret": self._secret.get_secret_value(),
        }
        answer = self.client.send("POST", self.settings.auth_path, form=form, accept=range(400, 500))
        if answer.status >= 400:
            raise self._refused(answer)
        token = answer.json().get("access_token") if answer.content_type == "application/json" else None
        if not isinstance(token, str) or not token:
            raise TransientError(f"{answer.place}: the answer holds no access_token", connection=self._connection.name)
        return SecretStr(token)

    def get(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
        renew: bool = True,
    ) -> Answer:
        """Reads a path under the org's root. `renew` False: an expired session is raised, for answers that are bound to it."""
        return self._request("GET", path, params=params, headers=headers, accept=accept, renew=renew)

    def patch(self, path: str, body: bytes, *, params: Mapping[str, str], accept: Container[int] = ()) -> Answer:
        """A write; UnknownOutcome when it left and no answer came."""
        return self._request("PATCH", path, params=params, body=body, accept=accept)

    def describe(self, name: str) -> dict[str, dict[str, Any]]:
        """The fields of an object that this user sees: name -> what the org says of it."""
        said = self.get(f"{self.settings.data}/sobjects/{quote(name, safe='')}/describe").json()
        fields = said.get("fields") if isinstance(said, dict) else None
        if not isinstance(fields, list):
            raise TransientError(f"describe of {name}: the answer holds no fields", connection=self._connection.name)
        return {str(field["name"]): field for field in fields if isinstance(field, dict) and "name" in field}

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: Container[int] = (),
        renew: bool = True,
    ) -> Answer:
        kind = {"Content-Type": "application/json"} if body is not None else {}
        for tries_left in (1, 0):
            token = self._token or self._renew(None)
            bearer = {"Authorization": f"Bearer {token.get_secret_value()}"}
            try:
                answer = self.client.send(
                    method,
                    path,
                    params=params,
                    headers={**(headers or {}), **kind, **bearer},
                    content=body,
                    accept=accept,
                    write=body is not None,
                )
            except SessionExpired as error:
                if not tries_left:
                    raise AuthError(f"{error.detail}, with a new token too", connection=self._connection.name, status=401) from error
                self._renew(token)
                if not renew:
                    raise
                continue
            self._note_limit(answer)
            return answer
        raise AssertionError("the second try returns or raises")

    def _renew(self, used: SecretStr | None) -> SecretStr:
        """A new token, unless another thread has fetched one since `used`."""
        with self._lock:
            if self._token is None or self._token is used:
                self._token = None
                self._token = self.login()
            return self._token

    def _note_limit(self, answer: Answer) -> None:
        told = limit_of(answer.headers.get("sforce-limit-info"))
        if told is not None:
            self.client.gate.budget.told(*told)

    def _refused(self, answer: Answer) -> Exception:
        error = explain(answer) or error_of(answer, now=wall_clock())
        error.connection = self._connection.name
        return error

"""A session with a treasury tenant: client credentials, one new login when the token has expired."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from pydantic import SecretStr

from sync.connections import Connection
from sync.errors import AuthError, TransientError
from sync.http import Answer, Client
from sync.systems.kyriba.answers import Listing, TokenExpired, explain, listing
from sync.systems.kyriba.settings import Settings

LISTING_PAGES_MAX = 200


class Session:
    """Requests with a token that is fetched when needed. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, settings: Settings, client: Client | None = None) -> None:
        self.settings = settings
        self._connection = connection
        self._id = connection.secret("client_id")
        self._secret = connection.secret("client_secret")
        self.client = client or Client(
            connection, settings.base_url, origins=(settings.auth_url,), explain=explain, headers={"Accept": "application/json"}
        )
        self._token: SecretStr | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections; the token is left to run out."""
        self.client.close()

    def login(self) -> SecretStr:
        """The tenant's token: a repeated login gives the same one with the time it has left. AuthError when it is refused."""
        form = {"grant_type": "client_credentials", **({"scope": self.settings.scope} if self.settings.scope else {})}
        basic = (self._id.get_secret_value(), self._secret.get_secret_value())
        answer = self.client.send("POST", self.settings.auth_url, form=form, basic=basic)
        said = answer.json()
        token = said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not token:
            raise TransientError(f"{answer.place}: the answer holds no access_token", connection=self._connection.name)
        return SecretStr(token)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Reads a path below the API's root."""
        return self._request("GET", path, params=params)

    def post(self, path: str, body: bytes) -> Answer:
        """A write; UnknownOutcome when it left and no answer came."""
        return self._request("POST", path, body=body)

    def listing(self, path: str, params: Mapping[str, str], *, offset: int = 0, limit: int | None = None) -> tuple[Answer, Listing]:
        """One page of a listing from `offset` on."""
        asked = limit or self.settings.page_size
        answer = self.get(path, {**params, "page.limit": str(asked), "page.offset": str(offset)})
        return answer, listing(answer, asked)

    def _request(self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
        kind = {"Content-Type": "application/json"} if body is not None else {}
        for tries_left in (1, 0):
            token = self._token or self._renew(None)
            headers = {**kind, "Authorization": f"Bearer {token.get_secret_value()}"}
            try:
                return self.client.send(method, path, params=params, headers=headers, content=body, write=body is not None)
            except TokenExpired as error:
                if not tries_left:
                    raise AuthError(f"{error.detail}, with a new token too", connection=self._connection.name, status=401) from error
                self._renew(token)
        raise AssertionError("the second try returns or raises")

    def _renew(self, used: SecretStr | None) -> SecretStr:
        """A new token, unless another thread has fetched one since `used`."""
        with self._lock:
            if self._token is None or self._token is used:
                self._token = None
                self._token = self.login()
            return self._token

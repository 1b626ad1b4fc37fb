"""A session with an org: a new token when one has expired, the limit header into the budget, every path on the org's own root."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any
from urllib.parse import quote, urljoin

from sync.connections import Connection
from sync.errors import PermanentError, SourceError, TransientError
from sync.http import Answer, Client, Expect, wall_clock
from sync.log_in import LoggedIn
from sync.systems.salesforce.answers import SessionExpired, explain, limit_of
from sync.systems.salesforce.login import Login, Token
from sync.systems.salesforce.settings import Settings

QUERY_PAGES_MAX = 1_000
"""A short query asks for some hundred records; an org may divide them into pages of one."""


class Session:
    """Requests with a token that is fetched when needed. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, settings: Settings, *, interactive: bool = False) -> None:
        self.settings = settings
        self._connection = connection
        self._login = Login(connection, settings)
        self.client = Client(
            connection,
            settings.base_url,
            origins=[settings.token_url, *settings.instance_urls],
            explain=self._explain,
            headers={"Accept": "application/json", "Sforce-Call-Options": f"client={settings.client_name}"},
            interactive=interactive,
        )
        self._token = LoggedIn(self.login, refused=lambda error: isinstance(error, SessionExpired))
        self.date: str | None = None
        """The org's clock, as the last answer named it."""
        self.answered_at = wall_clock()
        """Our wall time (UTC) when that answer came."""

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections; the token is left to run out."""
        self.client.close()

    def login(self) -> Token:
        """A new token, not yet used by this session. Raises AuthError, with the org's own reason, when the credentials are refused."""
        return self._login.token(self.client)

    def get(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
        expect: Expect = "json",
        renew: bool = True,
    ) -> Answer:
        """Reads a path under the org's root. `renew` False: an expired session is raised, for answers that are bound to it."""
        return self._request("GET", path, params=params, headers=headers, accept=accept, expect=expect, renew=renew)

    def patch(self, path: str, body: bytes, *, params: Mapping[str, str] | None = None, accept: Container[int] = ()) -> Answer:
        """A write; UnknownOutcome when it left and no answer came."""
        return self._request("PATCH", path, params=params, body=body, accept=accept, write=True)

    def post(self, path: str, body: bytes) -> Answer:
        """Asks for something that is no business write: a job, which may be made twice without harm."""
        return self._request("POST", path, body=body)

    def delete(self, path: str, *, accept: Container[int] = ()) -> Answer:
        """Takes a job of ours away."""
        return self._request("DELETE", path, accept=accept, expect="any")

    def describe(self, name: str) -> dict[str, Mapping[str, Any]] | None:
        """The fields of an object that this user sees: name -> what the org says of it; None when it shows no such object."""
        try:
            said = self.get(f"{self.settings.data}/sobjects/{quote(name, safe='')}/describe").json()
        except PermanentError as error:
            if error.status == 404 or error.code == "INVALID_TYPE":
                return None
            raise
        fields = said.get("fields") if isinstance(said, dict) else None
        if not isinstance(fields, list):
            raise TransientError(f"describe of {name}: the answer holds no fields", connection=self._connection.name)
        return {str(field["name"]): field for field in fields if isinstance(field, dict) and "name" in field}

    def query(self, soql: str) -> list[dict[str, Any]]:
        """All records of a short query, however the org divides them; numbers are Decimal. TransientError when its session ends between
        two pages: ask again.
        """
        found: list[dict[str, Any]] = []
        said = self.get(f"{self.settings.data}/query", params={"q": soql}).json()
        for _ in range(QUERY_PAGES_MAX):
            records = said.get("records") if isinstance(said, dict) else None
            if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
                raise TransientError("query: the answer holds no records", connection=self._connection.name)
            found += records
            if said.get("done") is True:
                return found
            link = said.get("nextRecordsUrl")
            if not isinstance(link, str) or not link:
                raise TransientError("query: not done, and no next page is named", connection=self._connection.name)
            try:
                said = self.get(link, renew=False).json()
            except SessionExpired as error:
                raise TransientError(f"query: {error.detail}, between two pages", connection=self._connection.name) from error
        raise TransientError(f"query: more than {QUERY_PAGES_MAX} pages", connection=self._connection.name)

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: Container[int] = (),
        expect: Expect = "json",
        renew: bool = True,
        write: bool = False,
    ) -> Answer:
        kind = {"Content-Type": "application/json"} if body is not None else {}

        def once(token: Token) -> Answer:
            bearer = {"Authorization": f"Bearer {token.secret.get_secret_value()}"}
            return self.client.send(
                method,
                self._at(token, path),
                params=params,
                headers={**(headers or {}), **kind, **bearer},
                content=body,
                expect=expect,
                accept=accept,
                write=write,
            )

        answer = self._token.call(once) if renew else self._in_this_session(once)
        self._note(answer)
        return answer

    def _in_this_session(self, once: Callable[[Token], Answer]) -> Answer:
        """The call with the session's token; one that has expired is renewed for what comes next, and SessionExpired raised."""
        token = self._token.current()
        try:
            return once(token)
        except SessionExpired:
            self._token.renew(token)
            raise

    def _at(self, token: Token, path: str) -> str:
        """The path on the root that the token is for, and nowhere else: not even on our other hosts, such as the login server."""
        try:
            url = urljoin(token.root + "/", path)
        except ValueError:
            url = ""
        if not url.startswith(token.root + "/"):
            raise PermanentError(f"refused a link that leads away from {token.root}", connection=self._connection.name)
        return url

    def _explain(self, answer: Answer) -> SourceError | None:
        self._note(answer)
        if 300 < answer.status < 400:
            held = self._token.held
            named = held.told if held is not None and held.told is not None else "another address"
            words = f"the org answers elsewhere; its login names {named}: correct base_url, or add that address to instance_urls"
            return PermanentError(f"{answer.place}: answered {answer.status}: {words}", status=answer.status)
        return explain(answer)

    def _note(self, answer: Answer) -> None:
        told = limit_of(answer.headers.get("sforce-limit-info"))
        if told is not None:
            self.client.gate.budget.told(*told)
        said = answer.headers.get("date")
        if said is not None:
            self.date, self.answered_at = said, wall_clock()

"""A session with a treasury tenant: client credentials, a token for as long as it lasts, one new login when it is refused before."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec
from pydantic import SecretStr

from sync.connections import Connection
from sync.errors import TransientError
from sync.http import Answer, Client, Expect
from sync.log_in import LoggedIn
from sync.systems.kyriba.answers import Listing, explain, listing, web_page
from sync.systems.kyriba.settings import Settings

LISTING_PAGES_MAX = 200
DETAILS_MAX = 100
"""So many accounts may be named in one question for details."""
LEEWAY_SECONDS = 5.0
"""A token is not used in its last seconds: a request that is on its way when it ends would be refused."""
ARCHIVE = b"PK\x03\x04"
"""How a zip archive begins."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gave: good for `seconds` from then on (None: the tenant did not say), until `good_until` on the steady clock."""

    value: SecretStr
    seconds: float | None
    good_until: float
    headers: httpx.Headers = field(repr=False)


class Session:
    """Requests with a token that is fetched when needed. Safe to share between threads; raises sync.errors only.

    `interactive`: a person waits for what it asks, so it may draw on the reserve of the daily calls.
    """

    def __init__(
        self, connection: Connection, settings: Settings, *, interactive: bool = False, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self._connection = connection
        self._id = connection.secret("client_id")
        self._secret = connection.secret("client_secret")
        self.client = Client(
            connection, settings.base_url, origins=(settings.auth_url,), explain=explain, headers={"Accept": "application/json"},
            interactive=interactive,
        )  # fmt: skip
        self._steady = steady
        self._token = LoggedIn(
            self.login, refused=lambda error: error.status == 401, good=lambda token: self._steady() < token.good_until
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections; the token is left to run out."""
        self.client.close()

    def login(self) -> Token:
        """The tenant's token: a repeated login gives the same one with the time it has left. AuthError when it is refused."""
        form = {"grant_type": "client_credentials", **({"scope": self.settings.scope} if self.settings.scope else {})}
        basic = (self._id.get_secret_value(), self._secret.get_secret_value())
        answer = self.client.send("POST", self.settings.auth_url, form=form, basic=basic)
        said = answer.json()
        value = said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(value, str) or not value:
            raise TransientError(f"{answer.place}: the answer holds no access_token", connection=self._connection.name)
        seconds = _seconds(said.get("expires_in"))
        until = float("inf") if seconds is None else self._steady() + max(seconds - LEEWAY_SECONDS, 0.0)
        return Token(SecretStr(value), seconds, until, answer.headers)

    def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: Sequence[int] = (), expect: Expect = "json") -> Answer:
        """Reads a path below the API's root; `accept` names error statuses that are an answer all the same."""
        return self._request("GET", path, params=params, accept=accept, expect=expect)

    def post(self, path: str, body: bytes) -> Answer:
        """A write; UnknownOutcome when it left and no answer came."""
        return self._request("POST", path, body=body, write=True)

    def ask(self, path: str, body: bytes = b"") -> Answer:
        """A POST that may be asked again: a question too long for an address, or the order to prepare something for us."""
        return self._request("POST", path, body=body)

    def file(self, path: str, params: Mapping[str, str]) -> Answer:
        """A file as the tenant holds it: any content but a web page, whole. An absent one is an answer with status 404."""
        answer = self._request("GET", path, params=params, expect="any", accept=(404,), media="*/*")
        if web_page(answer):
            raise TransientError(f"{answer.place}: a web page came where a file was expected", connection=self._connection.name)
        framed = "content-length" in answer.headers or "chunked" in answer.headers.get("transfer-encoding", "")
        if not framed and not _ends(answer):
            raise TransientError(f"{answer.place}: the file was cut before its end", connection=self._connection.name)
        return answer

    def listing(self, path: str, params: Mapping[str, str], *, offset: int = 0, limit: int | None = None) -> tuple[Answer, Listing]:
        """One page of a listing from `offset` on."""
        asked = limit or self.settings.page_size
        answer = self.get(path, {**params, "page.limit": str(asked), "page.offset": str(offset)})
        return answer, listing(answer, asked)

    def details(self, codes: Sequence[str]) -> Answer:
        """Up to 100 accounts with all their fields."""
        return self.ask("v1/accounts/details", msgspec.json.encode({"refs": [{"code": code} for code in codes]}))

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        write: bool = False,
        expect: Expect = "json",
        accept: Sequence[int] = (),
        media: str = "application/json",
    ) -> Answer:
        kind = {"Accept": media, **({"Content-Type": "application/json"} if body else {})}

        def once(token: Token) -> Answer:
            headers = {**kind, "Authorization": f"Bearer {token.value.get_secret_value()}"}
            return self.client.send(method, path, params=params, headers=headers, content=body, expect=expect, accept=accept, write=write)

        return self._token.call(once)


def _ends(answer: Answer) -> bool:
    """Whether a file whose length was not told ends as its kind does: XML with its last tag, an archive with its directory, parts with the
    last boundary. A text shows no end of its own; its reader tells a statement without a closing balance.
    """
    body = answer.body.strip()
    if body.startswith(b"<"):
        return body.endswith(b">")
    if body.startswith(ARCHIVE):
        return zipfile.is_zipfile(io.BytesIO(answer.body))
    return not answer.content_type.startswith("multipart/") or body.endswith(b"--")


def _seconds(told: object) -> float | None:
    """The lifetime that a login told, as a number or as text; None where it told none that can be used."""
    try:
        seconds = float(str(told))
    except ValueError:
        return None
    return seconds if 0 < seconds < 10**9 else None

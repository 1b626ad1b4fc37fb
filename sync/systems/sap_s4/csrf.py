"""Requests that a host lets through only with its CSRF token: writes, and $batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sync.errors import UnknownOutcome
from sync.http import Answer
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.refusals import CsrfRequired

FETCH = {"X-CSRF-Token": "Fetch"}


class Csrf:
    """The tokens of one session, one for each service; the cookies that belong to them are the session's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tokens: dict[str, str] = {}

    def keep(self, service: str, answer: Answer) -> str | None:
        """The token of an answer that was asked for one, kept; None when it holds none."""
        token: str = answer.headers.get("x-csrf-token", "")
        if not token or token.lower() in ("required", "fetch"):
            return None
        self._tokens[service] = token
        return token

    def fetch(self, service: str) -> str:
        """A new token, from the service's own root; empty when the host hands out none, as one that protects nothing."""
        headers = {**FETCH, "Accept": "application/json"}
        answer = self._session.send("GET", f"{self._session.address.root(service)}/", headers=headers, expect="any", accept=(404, 405))
        return self.keep(service, answer) or ""

    def ask(self, service: str, path: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """A POST that only reads, with the service's token; one that is no longer accepted is fetched once more.

        Raises CsrfRequired when the new one is not accepted either.
        """
        try:
            return self.send_once("POST", service, path, content, headers, write=False)
        except CsrfRequired:
            return self.send_once("POST", service, path, content, headers, write=False)

    def send_once(
        self,
        method: Literal["POST", "PATCH"],
        service: str,
        path: str,
        content: bytes,
        headers: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        write: bool = True,
    ) -> Answer:
        """A request with the service's token, fetched where there is none. A refused one is forgotten: CsrfRequired, nothing was done."""
        token = self._tokens.get(service) or self.fetch(service)
        protected = {**headers, **({"X-CSRF-Token": token} if token else {})}
        try:
            answer = self._session.send(method, path, params=params, headers=protected, content=content, expect="any", write=write)
        except CsrfRequired:
            self._tokens.pop(service, None)
            raise
        if write and answer.content_type in ("text/html", "application/xhtml+xml"):
            raise UnknownOutcome(f"{answer.place}: answered {answer.status} with a page for people: it may or may not have been done")
        return answer

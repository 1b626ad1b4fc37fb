"""A small frozen sandbox for the tests of its systems, and clients that speak to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

import sandbox

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@dataclass
class Box:
    """A running sandbox and ways to talk to it."""

    running: sandbox.Running
    http: httpx.Client

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A request to the control port; fails the test when it is refused."""
        answer = self.http.request(method, f"{self.running.control}/control/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Makes something happen."""
        made: dict[str, Any] = self.control("POST", "act", {"do": do, **arguments})
        return made

    def fault(self, system: str, kind: str, **options: Any) -> int:
        """Sets a fault."""
        return int(self.control("POST", "faults", {"system": system, "kind": kind, **options})["id"])

    def s4(self, path: str, host: str = "sap-emea", **kwargs: Any) -> httpx.Response:
        """A GET to an S/4 host, below its service root."""
        known = self.running.system(host)
        url = path if path.startswith("http") else f"{known['base_url']}/{path}"
        return self.http.get(url, auth=(known["user"], known["password"]), headers={"Accept": "application/json"}, **kwargs)

    def salesforce(self) -> Org:
        """A fresh session of the org."""
        known = self.running.system("salesforce")
        form = {"grant_type": "client_credentials", "client_id": known["client_id"], "client_secret": known["client_secret"]}
        token = self.http.post(known["base_url"] + "/services/oauth2/token", data=form).json()["access_token"]
        return Org(self.http, known["base_url"], token)

    def kyriba(self) -> Treasury:
        """A session of the treasury tenant."""
        known = self.running.system("kyriba")
        answer = self.http.post(
            known["auth_url"], auth=(known["client_id"], known["client_secret"]), data={"grant_type": "client_credentials"}
        )
        return Treasury(self.http, known["base_url"], answer.json()["access_token"])


@dataclass
class Org:
    """A session of the Salesforce org."""

    http: httpx.Client
    base: str
    token: str

    def call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A request; `path` below /services/data/v67.0/ unless it begins with a slash."""
        url = self.base + (path if path.startswith("/") else f"/services/data/v67.0/{path}")
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        return self.http.request(method, url, headers=headers, **kwargs)

    def query(self, soql: str, **kwargs: Any) -> httpx.Response:
        """A first page of a query."""
        return self.call("GET", "queryAll", params={"q": soql}, **kwargs)


@dataclass
class Treasury:
    """A session of the treasury tenant."""

    http: httpx.Client
    base: str
    token: str

    def call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A request below /v1/."""
        return self.http.request(method, f"{self.base}/v1/{path}", headers={"Authorization": f"Bearer {self.token}"}, **kwargs)


@pytest.fixture(scope="session")
def shared_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One sandbox for the session."""
    with sandbox.running(tmp_path_factory.mktemp("sandbox"), history_days=150, start_at=OPENED) as one, httpx.Client(timeout=5) as http:
        yield Box(one, http)


@pytest.fixture
def box(shared_box: Box) -> Iterator[Box]:
    """The session's sandbox; no fault and no broken record is left behind."""
    yield shared_box
    shared_box.control("DELETE", "faults")
    shared_box.act("fix_all")

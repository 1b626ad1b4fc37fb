"""A session with a scripted tenant: one token for as long as it lasts, one login when it is refused, the reserve for people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync import http_gate
from sync.errors import AuthError, QuotaError
from sync.systems.kyriba.client import Session
from sync.systems.kyriba.settings import settings_of
from tests.contracts.kyriba_tenant import LANDSCAPE, Tenant
from tests.contracts.suite_server import Asked, Reply, reply_json


class Clock:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TokenDesk(Tenant):
    """A tenant that gives the same token again, with the time it has left, until it has run out."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.number = 0
        self.ends = 0.0
        self.logins: list[int] = []
        self.seconds: object = None

    def answer(self, asked: Asked) -> Reply:
        if not asked.path.endswith("/oauth/token"):
            if self.clock() >= self.ends or asked.headers.get("authorization") != f"Bearer t{self.number}":
                return reply_json({"error": "invalid_token"}, 401)
            return super().answer(asked)
        if self.clock() >= self.ends:
            self.number, self.ends = self.number + 1, self.clock() + 3600
            self.token = f"t{self.number}"
        self.logins.append(self.number)
        return reply_json({"access_token": self.token, "token_type": "bearer", "expires_in": self.seconds or int(self.ends - self.clock())})


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYRIBA_TEST_ID", "id")
    monkeypatch.setenv("KYRIBA_TEST_SECRET", "s3cret")
    http_gate._GATES.clear()


@pytest.fixture
def desk() -> Iterator[TokenDesk]:
    found = TokenDesk(Clock())
    yield found
    found.server.close()


def opened(desk: TokenDesk) -> Session:
    """A session of its own, on the desk's clock."""
    connection = desk.connection()
    return Session(connection, settings_of(connection, LANDSCAPE), steady=desk.clock)


def test_a_token_is_used_for_as_long_as_it_lasts(desk: TokenDesk) -> None:
    """One login for many calls; a second session gets the same token with less time, and asks again only when that is over."""
    first = opened(desk)
    for _ in range(3):
        first.get("v1/accounts", {"page.limit": "2", "page.offset": "0"})
    desk.clock.now += 3580
    second = opened(desk)
    second.get("v1/accounts", {"page.limit": "2", "page.offset": "0"})
    assert desk.logins == [1, 1]
    desk.clock.now += 30
    for session in (first, second):
        session.get("v1/accounts", {"page.limit": "2", "page.offset": "0"})
        session.close()
    assert desk.logins == [1, 1, 2, 2]
    assert not any(asked.headers.get("authorization") == "Bearer t1" for asked in desk.server.asked[-2:])


@pytest.mark.parametrize("seconds", ["soon", -1, None, True, {"a": 1}, "3600.5"])
def test_a_lifetime_that_is_none_does_no_harm(desk: TokenDesk, seconds: object) -> None:
    """Absent, odd or in text: the token is used until it is refused, and then renewed once."""
    desk.seconds = seconds
    session = opened(desk)
    session.get("v1/accounts", {"page.limit": "2", "page.offset": "0"})
    desk.ends = 0.0
    session.get("v1/accounts", {"page.limit": "2", "page.offset": "0"})
    session.close()
    assert len(desk.logins) >= 2


def test_a_token_that_is_refused_when_new_needs_a_person(desk: TokenDesk) -> None:
    """One new login, then the end: the client may log in, but not use this API."""
    desk.server.between = lambda asked, answer: answer() if "token" in asked.path else Reply(b"", 401)
    session = opened(desk)
    with pytest.raises(AuthError, match="with a new token too"):
        session.get("v1/accounts")
    session.close()
    assert len(desk.logins) == 2


def test_the_last_of_the_daily_calls_are_for_people(desk: TokenDesk) -> None:
    """The background stops before the reserve; a probe and a write still go through."""
    connection = desk.connection().model_copy(update={"daily_call_budget": 40, "name": "kyriba-budget"})
    settings = settings_of(connection, LANDSCAPE)
    background, person = Session(connection, settings), Session(connection, settings, interactive=True)
    with pytest.raises(QuotaError, match="kept for what somebody waits for"):
        for _ in range(50):
            background.get("v1/accounts", {"page.limit": "2", "page.offset": "0"})
    assert person.get("v1/accounts", {"page.limit": "2", "page.offset": "0"}).status == 200
    for session in (background, person):
        session.close()

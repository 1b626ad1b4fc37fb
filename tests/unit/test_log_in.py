"""A log-in that several threads share: how often it is fetched, when it is renewed, and when a person has to act."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sync.errors import AuthError, PermanentError
from sync.log_in import LoggedIn


class Desk:
    """Gives out the tokens 1, 2, 3 ...; takes only those that are not `dead`."""

    def __init__(self, *dead: int) -> None:
        self.given = 0
        self.dead = set(dead)
        self.shown: list[int] = []

    def fetch(self) -> int:
        self.given += 1
        return self.given

    def ask(self, token: int) -> str:
        self.shown.append(token)
        if token in self.dead:
            raise AuthError(f"token {token} is refused", connection="crm", status=401)
        return f"taken {token}"

    def logged_in(self) -> LoggedIn[int]:
        return LoggedIn(self.fetch, refused=lambda error: error.status == 401)


def test_it_is_fetched_when_needed_and_used_again() -> None:
    """No log-in before the first call, one for them all."""
    desk = Desk()
    token = desk.logged_in()
    assert (desk.given, token.held) == (0, None)
    assert [token.call(desk.ask) for _ in range(3)] == ["taken 1"] * 3
    assert (desk.given, token.held) == (1, 1)


def test_a_refused_one_is_renewed_once() -> None:
    """The same call again with the new one; the next starts with it."""
    desk = Desk(1)
    token = desk.logged_in()
    assert [token.call(desk.ask), token.call(desk.ask)] == ["taken 2", "taken 2"]
    assert desk.shown == [1, 2, 2]


def test_refused_again_is_for_a_person() -> None:
    """Two calls, two log-ins, and the system's own words with what was tried."""
    desk = Desk(1, 2, 3)
    with pytest.raises(AuthError, match="token 2 is refused, with a new token too") as caught:
        desk.logged_in().call(desk.ask)
    assert (desk.shown, desk.given, caught.value.connection, caught.value.status) == ([1, 2], 2, "crm", 401)
    assert type(caught.value) is AuthError


@pytest.mark.parametrize("error", [AuthError("for good", status=403), PermanentError("no such field", status=400)])
def test_what_a_new_one_does_not_mend_goes_through(error: Exception) -> None:
    """The first and the second call alike."""
    desk = Desk()

    def never(_token: int) -> str:
        raise error

    token = desk.logged_in()
    with pytest.raises(type(error)) as caught:
        token.call(never)
    assert caught.value is error

    def second(used: int) -> str:
        return desk.ask(used) if used == 1 else never(used)

    desk.dead = {1}
    with pytest.raises(type(error)) as caught:
        token.call(second)
    assert caught.value is error
    assert desk.given == 2


def test_one_that_does_not_last_is_replaced_before_it_is_shown() -> None:
    """What the fetcher knows of its end is believed."""
    desk, ended = Desk(), set[int]()
    token = LoggedIn(desk.fetch, refused=lambda _error: True, good=lambda held: held not in ended)
    assert token.call(desk.ask) == "taken 1"
    ended.add(1)
    assert [token.call(desk.ask), token.call(desk.ask)] == ["taken 2", "taken 2"]
    assert desk.shown == [1, 2, 2]


def test_a_log_in_that_fails_leaves_nothing_behind() -> None:
    """The next call tries again."""
    desk, closed = Desk(), [True]

    def fetch() -> int:
        if closed[0]:
            raise AuthError("the client is refused", status=400)
        return desk.fetch()

    token = LoggedIn(fetch, refused=lambda error: error.status == 401)
    with pytest.raises(AuthError, match="the client is refused"):
        token.call(desk.ask)
    closed[0] = False
    assert token.call(desk.ask) == "taken 1"
    closed[0], desk.dead = True, {1}
    with pytest.raises(AuthError, match="the client is refused"):
        token.call(desk.ask)
    assert token.held is None


def test_threads_that_are_refused_together_renew_once() -> None:
    """Eight calls with the same dead token, all refused before any renews: one log-in serves them all."""
    desk, threads = Desk(1), 8
    together = threading.Barrier(threads)
    token = desk.logged_in()
    assert token.current() == 1

    def ask(used: int) -> str:
        if used == 1:
            together.wait(60)
        return desk.ask(used)

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(lambda _n: token.call(ask), range(threads))) == ["taken 2"] * threads
    assert desk.given == 2
    assert sorted(desk.shown) == [1] * threads + [2] * threads


def test_threads_that_start_together_log_in_once() -> None:
    """The first call of several threads is one log-in."""
    threads = 8
    together, desk = threading.Barrier(threads), Desk()
    token = desk.logged_in()

    def ask(_n: int) -> str:
        together.wait(60)
        return token.call(desk.ask)

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(ask, range(threads))) == ["taken 1"] * threads
    assert desk.given == 1

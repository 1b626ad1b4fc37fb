"""What a log-in gave, a token or a session, for as long as the system takes it: fetched once for all threads, renewed once when it is
refused before its time; refused again, it is a matter for a person.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from sync.errors import AuthError

T = TypeVar("T")
A = TypeVar("A")


class LoggedIn(Generic[T]):
    """Holds what `fetch` gave. Safe to share between threads.

    `refused`: whether an AuthError means that a new one may be taken where this one was not. `good`: whether the one at hand still lasts;
    without it, it lasts until it is refused. `new` names what a log-in gives, in the words of an error.
    """

    def __init__(
        self,
        fetch: Callable[[], T],
        *,
        refused: Callable[[AuthError], bool],
        good: Callable[[T], bool] | None = None,
        new: str = "a new token",
    ) -> None:
        self._fetch = fetch
        self._refused = refused
        self._good = good
        self._new = new
        self._lock = threading.Lock()
        self.held: T | None = None
        """What is at hand, good or not; None before the first log-in and after one that failed."""

    def current(self) -> T:
        """The one at hand while it is good, else what a log-in gives. Raises what the log-in raises."""
        held = self.held
        if held is not None and self._lasts(held):
            return held
        with self._lock:
            if self.held is None or not self._lasts(self.held):
                self.held = self._fetched()
            return self.held

    def renew(self, used: T | None) -> T:
        """A new one in the place of `used`; the one at hand where another thread has renewed it since."""
        with self._lock:
            if self.held is None or self.held is used:
                self.held = self._fetched()
            return self.held

    def call(self, once: Callable[[T], A]) -> A:
        """What `once` returns with the one at hand; with a new one, if that is refused. Any other error of `once` goes through.

        Raises AuthError when the new one is refused too: another would be as well.
        """
        used = self.current()
        try:
            return once(used)
        except AuthError as error:
            if not self._refused(error):
                raise
        used = self.renew(used)
        try:
            return once(used)
        except AuthError as error:
            if not self._refused(error):
                raise
            raise AuthError(f"{error.detail}, with {self._new} too", connection=error.connection, status=error.status) from error

    def _lasts(self, held: T) -> bool:
        return self._good is None or self._good(held)

    def _fetched(self) -> T:
        """Nothing is held while it is fetched: a log-in that fails leaves none behind."""
        self.held = None
        return self._fetch()

"""Asking ahead: answers that will probably be wanted, asked for beside the one that is being waited for.

A source whose pages follow from each other can be read no faster than one round trip after the other, unless it guesses what it will
ask for. A guess is never believed: whoever takes one checks that it is what it would have asked for, and asks itself where it is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from sync.errors import SourceError

T = TypeVar("T")


class Ahead(Generic[T]):
    """At most `width` guesses under way, each for a page of a number, in ascending order. One thread uses it."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._pool: ThreadPoolExecutor | None = None
        self._asked: deque[tuple[int, Future[T]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.forget()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def expects(self, number: int) -> bool:
        """Whether the page with this number is under way."""
        return any(guessed == number for guessed, _ in self._asked)

    def following(self, number: int) -> int | None:
        """The page to guess next when the one with `number` will be asked for in earnest; None where enough are under way."""
        if len(self._asked) >= self._width:
            return None
        return max(number, self._asked[-1][0] if self._asked else number) + 1

    def ask(self, number: int, work: Callable[[], T]) -> None:
        """Begins `work`, which gets the page with this number, in a thread of its own."""
        self._pool = self._pool or ThreadPoolExecutor(self._width, thread_name_prefix="ahead")
        self._asked.append((number, self._pool.submit(work)))

    def take(self, number: int) -> T | None:
        """The page with this number, waited for; None where it was not asked for, or failed: whoever asks in earnest learns why."""
        while self._asked and self._asked[0][0] <= number:
            guessed, work = self._asked.popleft()
            if guessed == number:
                try:
                    return work.result()
                except (SourceError, CancelledError):
                    return None
        return None

    def forget(self) -> None:
        """Lets go of all guesses: one of them was wrong."""
        for _, guess in self._asked:
            guess.cancel()
        self._asked.clear()

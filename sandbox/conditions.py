"""Conditions in whatever words a query language has for them: how they are put together, and how values compare."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Condition = Callable[..., bool]
Compare = Callable[[Any, Any], bool]


class Reader(Protocol):
    """What goes through a language's words one by one."""

    def peek(self) -> str:
        """The next word, as the grammar spells it; empty at the end."""
        ...

    def take(self) -> Any:
        """The next word, taken."""
        ...

    def expect(self, text: str, /) -> None:
        """Takes the next word, which has to be this one."""
        ...


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language's words for or, and, not; `single` reads a condition that has none of them. All conditions of a language take the same."""

    either: str
    both: str
    negated: str
    single: Callable[[Any], Condition]

    def read(self, reader: Reader) -> Condition:
        """The condition that stands next: as much of it as there is."""
        left = self._all_of(reader)
        while reader.peek() == self.either:
            reader.take()
            left = _either(left, self._all_of(reader))
        return left

    def _all_of(self, reader: Reader) -> Condition:
        left = self._one(reader)
        while reader.peek() == self.both:
            reader.take()
            left = _both(left, self._one(reader))
        return left

    def _one(self, reader: Reader) -> Condition:
        if reader.peek() == "(":
            reader.take()
            inner = self.read(reader)
            reader.expect(")")
            return inner
        if reader.peek() == self.negated:
            reader.take()
            negated = self._one(reader)
            return lambda *of: not negated(*of)
        return self.single(reader)


def _either(a: Condition, b: Condition) -> Condition:
    return lambda *of: a(*of) or b(*of)


def _both(a: Condition, b: Condition) -> Condition:
    return lambda *of: a(*of) and b(*of)


def comparisons(refusal: Callable[[], Exception]) -> Mapping[str, Compare]:
    """eq, ne, gt, ge, lt and le: nothing is neither more nor less than anything; `refusal` is raised where the types don't fit."""

    def ordered(check: Compare) -> Compare:
        def compare(a: Any, b: Any) -> bool:
            try:
                return a is not None and b is not None and bool(check(a, b))
            except TypeError:
                raise refusal() from None

        return compare

    equal: dict[str, Compare] = {"eq": lambda a, b: bool(a == b), "ne": lambda a, b: bool(a != b)}
    return equal | {name: ordered(getattr(operator, name)) for name in ("gt", "ge", "lt", "le")}

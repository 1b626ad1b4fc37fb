"""The tenant's filters (RSQL): clauses joined by `;` (and) and `,` (or), values bare or in quotes, `*` for anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any

from sandbox.records import Entity, Field
from sandbox.world.engine import World
from sandbox.world.operations import Refused

Test = Callable[[World, Any], bool]
_CLAUSE = re.compile(r"(?P<name>[\w.]+)(?P<sign>==|!=|=in=|=out=|=[lg][te]=)", re.ASCII)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_BARE = re.compile(r"[^\"'();,=!~<>\s]+")


def parse(text: str, entity: Entity) -> Test:
    """A filter over `entity`. Refused says what is wrong, and where."""
    reader = _Reader(text, entity)
    test = reader.either()
    if reader.at < len(text):
        raise reader.refused()
    return test


class _Reader:
    def __init__(self, text: str, entity: Entity) -> None:
        self.text, self.entity, self.at = text, entity, 0

    def refused(self) -> Refused:
        return Refused("InvalidFilter", f"can't filter by {self.text!r}: unexpected {self.text[self.at : self.at + 20]!r}", "filter")

    def either(self) -> Test:
        tests = [self._all()]
        while self._take(","):
            tests.append(self._all())
        return lambda w, r: any(test(w, r) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._take(";"):
            tests.append(self._one())
        return lambda w, r: all(test(w, r) for test in tests)

    def _one(self) -> Test:
        if self._take("("):
            inner = self.either()
            if not self._take(")"):
                raise self.refused()
            return inner
        match = _CLAUSE.match(self.text, self.at)
        field = self.entity.fields.get(match["name"]) if match else None
        if match is None or field is None:
            raise self.refused()
        self.at = match.end()
        return _test(field, match["sign"], self._values(match["sign"] in ("=in=", "=out=")))

    def _values(self, several: bool) -> list[tuple[str, bool]]:
        if not several:
            return [self._value()]
        if not self._take("("):
            raise self.refused()
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        if not self._take(")"):
            raise self.refused()
        return values

    def _value(self) -> tuple[str, bool]:
        """A value, and whether it stood in quotes."""
        if match := _QUOTED.match(self.text, self.at):
            self.at = match.end()
            return re.sub(r"\\(.)", r"\1", match[0][1:-1]), True
        if match := _BARE.match(self.text, self.at):
            self.at = match.end()
            return match[0], False
        raise self.refused()

    def _take(self, sign: str) -> bool:
        if self.text.startswith(sign, self.at):
            self.at += len(sign)
            return True
        return False


def _test(field: Field, sign: str, values: list[tuple[str, bool]]) -> Test:
    wanted = [_literal(field, text) for text, _ in values]
    one, get = wanted[0], field.get
    tests: dict[str, Callable[[Any], bool]] = {
        "==": lambda v: _is(v, one), "!=": lambda v: not _is(v, one), "=in=": lambda v: v in wanted, "=out=": lambda v: v not in wanted,
        "=lt=": lambda v: bool(v < one), "=le=": lambda v: bool(v <= one), "=gt=": lambda v: bool(v > one), "=ge=": lambda v: bool(v >= one),
    }  # fmt: skip
    return lambda w, r: tests[sign](get(w, r))


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and "*" in wanted:
        return fnmatchcase(str(value), wanted.replace("[", "[[]").replace("?", "[?]"))
    return bool(value == wanted)


def _literal(field: Field, text: str) -> Any:
    try:
        if field.type == "moment":
            return datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+")).astimezone(UTC)
        return date.fromisoformat(text) if field.type == "date" else text
    except ValueError:
        raise Refused("InvalidFilter", f"{text!r} is no {field.type}", "filter") from None

"""A small true subset of SOQL: SELECT fields FROM object WHERE ... ORDER BY ... LIMIT."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sandbox.conditions import Grammar, comparisons

Predicate = Callable[[Callable[[str], Any]], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))"
    r"|(?P<date>\d{4}-\d\d-\d\d)"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)"
    r"|(?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,))"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class MalformedQuery(ValueError):
    """The text is no SOQL this system understands."""


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `order`: (field, descending). `names`: every field with its place in the text."""

    object: str
    fields: tuple[str, ...]
    where: Predicate
    order: tuple[tuple[str, bool], ...]
    limit: int | None
    count: bool
    names: tuple[tuple[str, int], ...]


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []
        self.names: list[tuple[str, int]] = []
        self.at, at, text = 0, 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise MalformedQuery(f"unexpected token: '{text[at : at + 10].strip()}'")
            kind = str(match.lastgroup)
            self.tokens.append((kind, match.group(kind), match.start(kind)))
            at = match.end()

    def peek(self) -> str:
        return self.tokens[self.at][1].upper() if self.at < len(self.tokens) else ""

    def take(self) -> tuple[str, str, int]:
        if self.at >= len(self.tokens):
            raise MalformedQuery("unexpected token: '<EOF>'")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, word: str) -> None:
        _, text, _ = self.take()
        if text.upper() != word:
            raise MalformedQuery(f"unexpected token: '{text}', expecting '{word}'")

    def field(self) -> str:
        kind, text, place = self.take()
        if kind != "name":
            raise MalformedQuery(f"unexpected token: '{text}'")
        self.names.append((text, place))
        return text

    def literal(self) -> Any:
        kind, text, _ = self.take()
        if kind == "string":
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text[1:-1])
        if kind == "moment":
            if text[-3] != ":" and text[-1] != "Z":
                text = text[:-2] + ":" + text[-2:]
            return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
        if kind == "date":
            return date.fromisoformat(text)
        if kind == "number":
            return Decimal(text)
        words: dict[str, Any] = {"TRUE": True, "FALSE": False, "NULL": None}
        if text.upper() not in words:
            raise MalformedQuery(f"unexpected token: '{text}'")
        return words[text.upper()]


def parse(text: str) -> Query:
    """The query in `text`. MalformedQuery says what is not understood."""
    reader = _Reader(text)
    reader.expect("SELECT")
    chosen, count = _selection(reader)
    reader.expect("FROM")
    what = reader.take()[1]
    where: Predicate = _anything
    order: list[tuple[str, bool]] = []
    limit = None
    if reader.peek() == "WHERE":
        reader.take()
        where = _GRAMMAR.read(reader)
    if reader.peek() == "ORDER":
        reader.take()
        reader.expect("BY")
        order = _ordering(reader)
    if reader.peek() == "LIMIT":
        reader.take()
        kind, number, _ = reader.take()
        if kind != "number":
            raise MalformedQuery(f"unexpected token: '{number}'")
        limit = int(number)
    if reader.peek():
        raise MalformedQuery(f"unexpected token: '{reader.take()[1]}'")
    return Query(what, tuple(chosen), where, tuple(order), limit, count, tuple(reader.names))


def _anything(_: Callable[[str], Any]) -> bool:
    return True


def _selection(reader: _Reader) -> tuple[list[str], bool]:
    if reader.peek() == "COUNT":
        reader.take()
        reader.expect("(")
        reader.expect(")")
        return [], True
    chosen = [reader.field()]
    while reader.peek() == ",":
        reader.take()
        chosen.append(reader.field())
    return chosen, False


def _ordering(reader: _Reader) -> list[tuple[str, bool]]:
    order = []
    while True:
        name, descending = reader.field(), False
        if reader.peek() in ("ASC", "DESC"):
            descending = reader.take()[1].upper() == "DESC"
        if reader.peek() == "NULLS":
            reader.take()
            reader.take()
        order.append((name, descending))
        if reader.peek() != ",":
            return order
        reader.take()


def _single(reader: _Reader) -> Predicate:
    name = reader.field()
    sign = reader.take()[1].upper()
    if sign == "NOT":
        reader.expect("IN")
        values = _list(reader)
        return lambda get: _folded(get(name)) not in values
    if sign == "IN":
        values = _list(reader)
        return lambda get: _folded(get(name)) in values
    if sign not in _COMPARE:
        raise MalformedQuery(f"unexpected token: '{sign}'")
    compare, value = _COMPARE[sign], _folded(reader.literal())
    return lambda get: compare(_folded(get(name)), value)


def _list(reader: _Reader) -> list[Any]:
    reader.expect("(")
    values = [_folded(reader.literal())]
    while reader.peek() == ",":
        reader.take()
        values.append(_folded(reader.literal()))
    reader.expect(")")
    return values


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


_CHECKS = comparisons(lambda: MalformedQuery("value of filter criterion for field must be of the field's type"))
_COMPARE = {
    sign: _CHECKS[name] for sign, name in (("=", "eq"), ("!=", "ne"), ("<>", "ne"), ("<", "lt"), ("<=", "le"), (">", "gt"), (">=", "ge"))
}
_GRAMMAR = Grammar("OR", "AND", "NOT", _single)

"""$filter and $orderby of OData V2 and V4 over typed values."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sandbox.conditions import Grammar, comparisons
from sandbox.records import Entity
from sandbox.world.engine import World

Predicate = Callable[[World, Any], bool]
Value = Callable[[World, Any], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<moment>datetimeoffset'[^']*')|(?P<day>datetime'[^']*')|(?P<clock>time'[^']*')|(?P<guid>guid'[^']*')"
    r"|(?P<string>'(?:[^']|'')*')|(?P<iso>\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?Z)?)|(?P<number>-?\d+(?:\.\d+)?[mMdDfFlL]?)|(?P<name>[A-Za-z_][A-Za-z0-9_/]*)"
    r"|(?P<sign>[(),]))"
)


class BadQuery(ValueError):
    """A query option this service can't work with."""


def comparable(value: Any) -> Any:
    """Dates and moments as moments, so that either kind of literal fits."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return value


class _Reader:
    def __init__(self, text: str, entity: Entity) -> None:
        self.entity, self.at = entity, 0
        self.tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise BadQuery(f"Invalid token detected at position {at}")
            self.tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            at = match.end()

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise BadQuery("The filter ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, text: str) -> None:
        found = self.take()[1]
        if found != text:
            raise BadQuery(f"'{text}' expected, '{found}' found")


def parse_filter(text: str, entity: Entity) -> Predicate:
    """A predicate over (world, record). BadQuery says what is not understood or which property is unknown."""
    reader = _Reader(text, entity)
    predicate: Predicate = _GRAMMAR.read(reader)
    if reader.peek():
        raise BadQuery(f"Unexpected '{reader.peek()}'")
    return predicate


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "substringof": lambda a, b: str(a) in str(b),
    "startswith": lambda a, b: str(a).startswith(str(b)),
    "endswith": lambda a, b: str(a).endswith(str(b)),
}


def _single(reader: _Reader) -> Predicate:
    if reader.peek() in _TESTS:
        test = _TESTS[reader.take()[1]]
        reader.expect("(")
        first = _value(reader)
        reader.expect(",")
        second = _value(reader)
        reader.expect(")")
        if reader.peek() == "eq":
            reader.take()
            reader.take()
        return lambda w, r: test(first(w, r), second(w, r))
    left = _value(reader)
    sign = reader.take()[1]
    if sign not in _COMPARE:
        raise BadQuery(f"Unknown operator '{sign}'")
    compare, right = _COMPARE[sign], _value(reader)
    return lambda w, r: compare(left(w, r), right(w, r))


def _value(reader: _Reader) -> Value:
    kind, text = reader.take()
    if kind == "name" and text not in ("true", "false", "null"):
        field = reader.entity.fields.get(text)
        if field is None:
            raise BadQuery(f"Property {text} not found in type '{reader.entity.name}Type'")
        get = field.get
        return lambda w, r: comparable(get(w, r))
    constant = literal(kind, text)
    return lambda w, r: constant


def literal(kind: str, text: str) -> Any:
    """The value of a literal token. BadQuery when it is none."""
    if kind == "string":
        return text[1:-1].replace("''", "'")
    if kind in ("moment", "day", "iso"):
        inner = (text if kind == "iso" else text[text.index("'") + 1 : -1]).replace("Z", "+00:00")
        try:
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", inner))
        except ValueError:
            raise BadQuery(f"Invalid literal {text}") from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if kind == "number":
        return Decimal(text.rstrip("mMdDfFlL"))
    if kind == "name":
        return {"true": True, "false": False, "null": None}[text]
    return text[text.index("'") + 1 : -1] if "'" in text else text


_COMPARE = comparisons(lambda: BadQuery("The types of the operands do not fit"))
_GRAMMAR = Grammar("or", "and", "not", _single)


def ordered(world: World, rows: list[Any], text: str, entity: Entity) -> list[Any]:
    """Records in the order of an $orderby. BadQuery for an unknown property."""
    for part in reversed([p.split() for p in text.split(",") if p.strip()]):
        field = entity.fields.get(part[0])
        if field is None:
            raise BadQuery(f"Property {part[0]} not found in type '{entity.name}Type'")
        get = field.get
        rows = sorted(rows, key=lambda r, get=get: _sortable(get(world, r)), reverse=part[1:] == ["desc"])  # type: ignore[misc]
    return rows


def _sortable(value: Any) -> tuple[bool, Any]:
    return value is not None, comparable(value) if value is not None else 0

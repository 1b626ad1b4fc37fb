"""The slow road into a JSON page that a strict parser refuses, so that one NaN costs one record and not the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, DecimalException
from typing import Any

_BLANK = re.compile(r"[ \t\r\n]*")
_PLACES = json.JSONDecoder(parse_int=str, parse_float=str)
"""Only where a value ends is wanted of it; Python itself refuses a number of thousands of digits."""


def salvage(body: bytes, path: tuple[str, ...]) -> tuple[list[bytes], dict[str, Any]] | None:
    """The records of the array at `path`, cut out by their places, and the members beside it; None when that fails too."""
    try:
        text = body.decode("utf-8")
        at = _after_blank(text, 0)
        for step in path[:-1]:
            at = next(start for key, start, _ in _members(text, at) if key == step)
        members = {key: (start, end) for key, start, end in _members(text, at)}
        places = _elements(text, members[path[-1]][0])
        records = [text[start:end].encode() for start, end in places]
        beside = {}
        for key, (start, end) in members.items():
            if key != path[-1]:
                with suppress(ValueError, DecimalException):  # a number that can't be read is not there
                    beside[key] = json.loads(text[start:end], parse_float=Decimal)
    except (ValueError, KeyError, StopIteration, IndexError, RecursionError):
        return None
    return records, beside


def elements(body: bytes) -> list[bytes] | None:
    """The elements of the array that `body` is, each in its own bytes, also where one holds a NaN; None when it is no such array."""
    try:
        text = body.decode("utf-8")
        places = _elements(text, _after_blank(text, 0))
        return [text[start:end].encode() for start, end in places]
    except (ValueError, IndexError, RecursionError):
        return None


def cut_out(body: bytes, name: str) -> bytes | None:
    """The bytes of a member of the object that a body is, None where there is no such; ValueError or IndexError when it is no object."""
    text = body.decode("utf-8")
    return next((text[start:end].encode() for key, start, end in _members(text, _after_blank(text, 0)) if key == name), None)


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """The members of the object that opens at `at`: key, where its value begins, where it ends."""
    scan = _PLACES.raw_decode
    _expect(text, at, "{")
    at = _after_blank(text, at + 1)
    while text[at] != "}":
        key, at = scan(text, at)
        at = _after_blank(text, at)
        _expect(text, at, ":")
        start = _after_blank(text, at + 1)
        end = scan(text, start)[1]
        yield key, start, end
        at = _after_comma(text, end, "}")


def _elements(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Where each element of the array that opens at `at` begins and ends."""
    scan = _PLACES.raw_decode
    _expect(text, at, "[")
    at = _after_blank(text, at + 1)
    while text[at] != "]":
        end = scan(text, at)[1]
        yield at, end
        at = _after_comma(text, end, "]")


def _after_comma(text: str, at: int, closing: str) -> int:
    at = _after_blank(text, at)
    if text[at] == ",":
        return _after_blank(text, at + 1)
    _expect(text, at, closing)
    return at


def _expect(text: str, at: int, sign: str) -> None:
    if text[at] != sign:
        raise ValueError(f"expected {sign} at {at}")

"""One record's own text out of the bytes of its page, for a person to read. Never used to compute anything."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sync.ports import Page

MAX_CHARACTERS = 20_000
UNPACKED_MAX = 64 << 20
_LISTS = ("records", "results", "value", "d")


def excerpt(page: Page, ordinal: int) -> str:
    """The `ordinal`-th record of `page` (from 0) as text: pretty JSON, its line, or the file's beginning where records can't be told apart."""
    if page.content_type == "application/zip":
        return f"{page.name or 'the file'} is a zip archive of {len(page.body)} bytes"
    text = _plain(page).decode(_charset(page), errors="replace").replace("\x00", "\ufffd")
    mark = page.headers.get("record_mark")
    found = (
        _from_json(text, ordinal, page.headers.get("records_way")) if "json" in page.content_type or "records_way" in page.headers
        else _from_marks(text, ordinal, mark) if mark
        else _from_lines(text, ordinal, page)
    )  # fmt: skip
    if found is None:
        found = text
    return found if len(found) <= MAX_CHARACTERS else found[:MAX_CHARACTERS] + "\n… (cut)"


def _plain(page: Page) -> bytes:
    """The bytes of the page, of a packed one as many as anybody would read."""
    if not page.body.startswith(b"\x1f\x8b"):
        return page.body
    try:
        return zlib.decompressobj(wbits=31).decompress(page.body, UNPACKED_MAX)
    except zlib.error:
        return page.body


def _charset(page: Page) -> str:
    given = page.headers.get("encoding") or page.content_type.partition("charset=")[2].strip()
    try:
        b"x".decode(given or "utf-8", "replace")  # some codecs are none of texts
        return codecs.lookup(given).name if given else "utf-8"
    except (LookupError, ValueError):
        return "utf-8"


def _from_json(text: str, ordinal: int, way: str | None) -> str | None:
    try:
        document = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    records = _records(document) if way is None else list(_at_end(document, json.loads(way)))
    if records is None or ordinal >= len(records):
        return None
    return json.dumps(records[ordinal], indent=2, ensure_ascii=False)


def _at_end(value: Any, way: Sequence[str]) -> Iterator[Any]:
    """What stands at the end of a way of names, with [*] for every item of a list and * for every member of an object. What holds none on its
    way gives none.
    """
    if not way:
        yield value
    elif way[0] in ("[*]", "*") and isinstance(value, list | dict):
        for item in value if isinstance(value, list) else value.values():
            yield from _at_end(item, way[1:])
    elif isinstance(value, dict) and value.get(way[0]) is not None:
        yield from _at_end(value[way[0]], way[1:])


def _records(document: Any) -> Sequence[Any] | None:
    if isinstance(document, list):
        return document
    if not isinstance(document, Mapping):
        return None
    for name in _LISTS:
        inner = document.get(name)
        if isinstance(inner, list):
            return inner
        if isinstance(inner, Mapping) and (deeper := _records(inner)) is not None:
            return deeper
    return next((value for value in document.values() if isinstance(value, list)), None)


def _from_marks(text: str, ordinal: int, mark: str) -> str | None:
    """The part of the text that begins where the expression `mark` is found for the `ordinal`-th time, and ends before the next."""
    places = [found.start() for found in re.finditer(mark, text)]
    return text[places[ordinal] : (*places, len(text))[ordinal + 1]].rstrip() if ordinal < len(places) else None


def _from_lines(text: str, ordinal: int, page: Page) -> str | None:
    if "xml" in page.content_type or "octet-stream" in page.content_type or text.lstrip().startswith("<"):
        return None
    lines = text.splitlines()
    first = int(page.headers.get("first_record_line", "1"))
    place = first + ordinal
    if place >= len(lines):
        return None
    head = lines[first - 1] if first else ""
    return f"{head}\n{lines[place]}" if head else lines[place]

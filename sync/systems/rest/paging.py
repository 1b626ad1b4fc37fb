"""Where the next page of a list is: page numbers, offsets, cursors in body or header, the Link header, an address in the body. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync.errors import TransientError
from sync.strict_json import loosely
from sync.systems.rest.asking import Param
from sync.systems.rest.declaration import RestStream
from sync.systems.rest.mapping import Read
from sync.systems.rest.pagings import HEADER, BodyCursor, HeaderCursor, LinkHeader, NextUrl, NoPaging, Offset, PageNumber, Paging
from sync.systems.rest.paths import at
from sync.systems.rest.values import plain

_LINK = re.compile(r"<(?P<url>[^<>]*)>(?P<params>(?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]*))?)*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<bare>[^\s;,]+))", re.IGNORECASE)
_NO = frozenset({"", "0", "false", "no", "n", "f", "null", "none"})
Told = Callable[[str], Any]
"""What an answer says at a path of it, or in a header."""


@dataclass(frozen=True, slots=True)
class Place:
    """A page to ask for: by `values`, each under its role, or by the `url` that the application named. `path`: where it is asked for, if not
    at the list's own. `read`: records before it.
    """

    values: Mapping[str, Param] = field(default_factory=dict)
    url: str | None = None
    path: str | None = None
    number: int = 0
    read: int = 0

    @property
    def mark(self) -> tuple[str | None, str | None, tuple[tuple[str, str], ...]]:
        """What tells it apart from other places."""
        return self.url, self.path, tuple(sorted((name, str(value)) for name, value in self.values.items()))


def first(stream: RestStream) -> Place:
    """The first page."""
    paging = stream.paging
    if isinstance(paging, NoPaging):
        return Place()
    size = {"size": paging.size}
    if isinstance(paging, PageNumber | Offset):
        return Place({paging.role: paging.first, **size}, number=paging.first)
    return Place(size)


def following(stream: RestStream, place: Place, body: bytes, headers: Mapping[str, str], given: Read) -> Place | None:
    """The page after this one; None when this was the last. TransientError when the answer does not say what it has to."""
    paging = stream.paging
    if isinstance(paging, NoPaging):
        return None
    told = _telling(body, headers)
    total = given.outer.total
    # a page that holds a record twice is longer than its size, and the places that the application counts are not
    read = place.read + min(total, paging.size)
    more = _more(paging, told)
    if more is False:
        return None
    size = {"size": paging.size}
    if isinstance(paging, PageNumber | Offset):
        if more is None and _ended(paging, place, read, total, told):
            return None
        moved = place.number + 1 if isinstance(paging, PageNumber) else paging.first + read
        return Place({paging.role: moved, **size}, number=place.number + 1, read=read)
    if isinstance(paging, BodyCursor):
        cursor = _cursor(paging, place, told, given, total)
        if cursor is None:
            if more:
                raise TransientError("the answer says that there is more, and names no cursor for it")
            return None
        return Place({paging.role: cursor, **size}, path=paging.next_path, read=read)
    if isinstance(paging, HeaderCursor):
        named = headers.get(paging.header, "").strip()
        return Place({paging.role: named, **size}, read=read) if named else None
    url = _linked(headers.get("link", ""), paging.rel) if isinstance(paging, LinkHeader) else _named(paging, told)
    if not url and more:
        raise TransientError("the answer says that there is more, and names no address for it")
    return Place(url=url, read=read) if url else None


def _telling(body: bytes, headers: Mapping[str, str]) -> Told:
    """The body is read once, when it is asked. What is wrong with one record does not hide where the next page is."""
    held: list[Any] = []

    def told(path: str) -> Any:
        if path.startswith(HEADER):
            return headers.get(path.removeprefix(HEADER).strip())
        if not held:
            held.append(loosely(body) if body.strip() else {})
        if held[0] is None:
            raise TransientError("the answer is no JSON, and so does not say where its next page is")
        return at(held[0], path)

    return told


def _more(paging: Paging, told: Told) -> bool | None:
    """What the flag says of a next page; None where there is no flag, or it is not given."""
    if paging.more is not None:
        return _flag(told(paging.more))
    last = None if paging.last is None else _flag(told(paging.last))
    return None if last is None else not last


def _ended(paging: PageNumber | Offset, place: Place, read: int, total: int, told: Told) -> bool:
    """Whether a page by number or offset was the last, where no flag says so: by a count, else because it was empty, or short."""
    if isinstance(paging, PageNumber) and paging.pages is not None:
        return place.number - paging.first + 1 >= _count(told, paging.pages)
    if paging.total is not None:
        wanted = _count(told, paging.total)
        if not total and place.read < wanted:
            raise TransientError(f"an empty page came after {place.read} of {wanted} records")
        return read >= wanted
    if paging.short_ends or paging.more is not None or paging.last is not None:
        return total < paging.size  # a flag that is not given says that there is nothing more to say
    return total == 0


def _cursor(paging: BodyCursor, place: Place, told: Told, given: Read, total: int) -> Param | None:
    """The cursor of the next page; None where there is none."""
    cursor = told(paging.cursor) if paging.cursor is not None else at(given.last(), paging.of_record or "")
    if isinstance(cursor, dict | list):
        raise TransientError(f"the cursor at {paging.cursor or paging.of_record} is no single value")
    text = plain(cursor)
    if not text or cursor is False or (paging.cursor is not None and cursor == 0):
        return None
    sized = paging.size_param is not None and total < paging.size
    if paging.of_record is not None and sized and str(place.values.get("cursor")) == text:
        return None  # a list that is asked for from its last value on gives that record again
    return cursor if isinstance(cursor, int) else text


def _flag(value: Any) -> bool | None:
    """Whether a flag says yes, in any of its spellings; an address or a list that is there says yes too. None where nothing is said."""
    if value is None:
        return None
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _named(paging: NextUrl, told: Told) -> str | None:
    found = told(paging.url)
    return found if isinstance(found, str) else None


def _linked(header: str, rel: str) -> str | None:
    """The address under `rel` in a Link header; one link may have several relations, in quotes or without."""
    for link in _LINK.finditer(header):
        found = _REL.search(link["params"] or "")
        if found and rel.lower() in (found["quoted"] or found["bare"] or "").lower().split():
            return link["url"].strip() or None
    return None


def _count(told: Told, path: str) -> int:
    found = plain(told(path))
    if found is None or not found.isascii() or not found.isdigit():
        raise TransientError(f"the answer has no count at {path}: the end of the list can't be told")
    return int(found)

"""Where the next page of a list is: page numbers, offsets, cursors in body or header, the Link header, an address in the body. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sync.errors import TransientError
from sync.systems.rest.declaration import BodyCursor, HeaderCursor, LinkHeader, NextUrl, NoPaging, Offset, PageNumber, RestStream
from sync.systems.rest.mapping import Read
from sync.systems.rest.paths import at
from sync.systems.rest.values import plain

_LINK = re.compile(r"<(?P<url>[^<>]*)>(?P<params>(?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]*))?)*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<bare>[^\s;,]+))", re.IGNORECASE)


Param = str | int
"""What is sent for a page: in a query as text, in the body of a search as what it is."""

_NO = frozenset({"", "0", "false", "no", "n", "f", "null", "none"})


@dataclass(frozen=True, slots=True)
class Place:
    """A page to ask for: by `params` beside the stream's own, or by the `url` that the application named. `read`: records before it."""

    params: Mapping[str, Param] = field(default_factory=dict)
    url: str | None = None
    number: int = 0
    read: int = 0

    @property
    def mark(self) -> tuple[str | None, tuple[tuple[str, str], ...]]:
        """What tells it apart from other places."""
        return self.url, tuple(sorted((name, str(value)) for name, value in self.params.items()))


def first(stream: RestStream) -> Place:
    """The first page."""
    paging = stream.paging
    sized = _sized(paging)
    if isinstance(paging, PageNumber):
        return Place({paging.param: paging.first, **sized}, number=paging.first)
    if isinstance(paging, Offset):
        return Place({paging.param: 0, **sized})
    return Place(sized)


def following(stream: RestStream, place: Place, body: bytes, headers: Mapping[str, str], given: Read) -> Place | None:
    """The page after this one; None when this was the last. TransientError when the answer does not say what it has to."""
    paging = stream.paging
    total = given.rows.total
    # a page that holds a record twice is longer than its size, and the places that the application counts are not
    read = place.read + min(total, getattr(paging, "size", total))
    if isinstance(paging, NoPaging):
        return None
    if isinstance(paging, PageNumber | Offset):
        if _ended(paging, place, read, total, _beside(body, paging)):
            return None
        moved = place.number + 1 if isinstance(paging, PageNumber) else read
        return Place({paging.param: moved, **_sized(paging)}, number=place.number + 1, read=read)
    if isinstance(paging, BodyCursor):
        return _by_cursor(paging, place, body, given, read)
    if isinstance(paging, HeaderCursor):
        cursor = headers.get(paging.header, "").strip()
        return Place({paging.param: cursor, **_sized(paging)}, read=read) if cursor else None
    url = _linked(headers.get("link", ""), paging.rel) if isinstance(paging, LinkHeader) else _named(body, paging)
    return Place(url=url, read=read) if url else None


def _ended(paging: PageNumber | Offset, place: Place, read: int, total: int, beside: Any) -> bool:
    """Whether a page by number or offset was the last: by what the answer says of it, else because it was empty."""
    more = None if paging.more is None else _flag(at(beside, paging.more))
    if more is not None:
        return not more
    if paging.more is not None and total < paging.size:
        return True  # it says nothing where there is nothing more
    if isinstance(paging, PageNumber) and paging.pages is not None:
        return place.number - paging.first + 1 >= _count(beside, paging.pages)
    if paging.total is not None:
        wanted = _count(beside, paging.total)
        if not total and place.read < wanted:
            raise TransientError(f"an empty page came after {place.read} of {wanted} records")
        return read >= wanted
    return total == 0


def _by_cursor(paging: BodyCursor, place: Place, body: bytes, given: Read, read: int) -> Place | None:
    beside = _beside(body, paging)
    more = None if paging.more is None else _flag(at(beside, paging.more))
    if more is False:
        return None
    cursor = at(beside, paging.cursor) if paging.cursor is not None else at(given.last(), paging.of_record or "")
    if isinstance(cursor, dict | list):
        raise TransientError(f"the cursor at {paging.cursor or paging.of_record} is no single value")
    text = plain(cursor)
    if not text or cursor is False or (paging.cursor is not None and cursor == 0):
        if more:
            raise TransientError("the answer says that there is more, and names no cursor for it")
        return None
    sized = _sized(paging)
    if paging.of_record is not None and sized and given.rows.total < paging.size and str(place.params.get(paging.param)) == text:
        return None  # a list that is asked for from its last value on gives that record again
    return Place({paging.param: cursor if isinstance(cursor, int) else text, **sized}, read=read)


def _flag(value: Any) -> bool | None:
    """Whether a flag says yes, in any of its spellings; an address or a list that is there says yes too. None where nothing is said."""
    if value is None:
        return None
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _named(body: bytes, paging: NextUrl) -> str | None:
    found = at(_beside(body, paging), paging.url)
    return found if isinstance(found, str) else None


def _linked(header: str, rel: str) -> str | None:
    """The address under `rel` in a Link header; one link may have several relations, in quotes or without."""
    for link in _LINK.finditer(header):
        found = _REL.search(link["params"] or "")
        if found and rel.lower() in (found["quoted"] or found["bare"] or "").lower().split():
            return link["url"].strip() or None
    return None


def _beside(body: bytes, paging: PageNumber | Offset | BodyCursor | NextUrl) -> Any:
    """The body as a value, where the paging reads anything from it. What is wrong with one record does not hide where the next page is."""
    wanted = (paging.url,) if isinstance(paging, NextUrl) else tuple(
        path for name in ("more", "pages", "total", "cursor") if (path := getattr(paging, name, None)) is not None
    )  # fmt: skip
    if not wanted:
        return None
    try:
        return json.loads(body, parse_float=str, parse_constant=_nothing)
    except (ValueError, RecursionError) as error:
        raise TransientError("the answer is no JSON, and so does not say where its next page is") from error


def _nothing(_constant: str) -> None:
    return None


def _count(beside: Any, path: str) -> int:
    found = plain(at(beside, path))
    if found is None or not found.isascii() or not found.isdigit():
        raise TransientError(f"the answer has no count at {path}: the end of the list can't be told")
    return int(found)


def _sized(paging: Any) -> dict[str, Param]:
    name = getattr(paging, "size_param", None)
    return {name: paging.size} if name else {}

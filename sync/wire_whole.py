"""The fast road into a JSON page: all its records read at once, if a count shows that none of them holds a key twice.

Reading record by record and looking for twins in each costs several times as much as the reading itself. A page that passes here
can't hold any; every other page goes the slow road, record by record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

_DOUBTFUL = (b"\\u0000", b"\\u003a", b"\\u003A")
"""NUL is never right; an escaped colon is written anew as a plain one, and would stand in for one that a twin took with it."""


def whole(records: Sequence[msgspec.Raw | bytes], decoder: msgspec.json.Decoder[Any]) -> list[dict[str, Any]] | None:
    """All records, each a JSON value by itself, as `decoder` reads them; None where one of them has to be looked at more closely.

    Of two members with the same key the decoder keeps one: written anew, the page has fewer colons than it had.
    """
    page = b"[" + b",".join(records) + b"]"
    if b"\\u00" in page and any(mark in page for mark in _DOUBTFUL):
        return None
    try:
        rows = decoder.decode(page)
        written = msgspec.json.encode(rows)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return None
    if len(rows) != len(records) or not {dict}.issuperset(map(type, rows)):
        return None
    return rows if written.count(b":") == page.count(b":") else None

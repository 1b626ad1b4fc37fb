"""Which format a file is in, told by its content."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice

from sync.errors import DataError
from sync.statements import bai2, camt, mt
from sync.statements.collected import Collected
from sync.statements.lines import encoding_of, is_utf8, lines
from sync.statements.model import Total, refuse

_HEAD_LINES = 400
_KNOWN = {b"PK\x03\x04": "a zip archive or an Excel sheet", b"%PDF": "a PDF", b"\x1f\x8b": "gzip", b"{\n": "JSON", b'{"': "JSON"}
_BLANK = b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"
_XML_END = re.compile(rb"</(?:[\w.-]+:)?Document\s*>$")
_BAI2_END = re.compile(rb"(?:^|[\r\n/])[ \t]*99,[+-]?\d+,\d+[^\r\n]*$")
_TAG = re.compile(r"[\x01-\x04 ]*(\{4:)?\s*:(20|25P?|28C?|60[FM]|62[FM]):|\{1:[A-Z]\d\d")


def collect(body: bytes) -> Collected:
    """All that the file's statements say. Raises DataError with its cause and evidence where it is no statement file, or a broken one."""
    read = _reader(body)
    collected = Collected()
    try:
        read(body, collected)
    except DataError as error:
        if read is not camt.read or error.cause != "file_unreadable" or is_utf8(body) or encoding_of(body) != "cp1252":
            raise
        if b"encoding=" in body[:200] and not re.search(rb"encoding=[\"']utf-?8", body[:200], re.IGNORECASE):
            raise
        # It says UTF-8 and is not: some banks write names in Windows' western encoding. Amounts and keys read the same in both.
        collected = Collected()
        read(body.decode("cp1252", "replace").encode(), collected)
        collected.total(Total("the file says UTF-8; it was read as Windows-1252", "encoding"))
    return collected


def _reader(body: bytes) -> Callable[[bytes, Collected], None]:
    """The reader for `body`. Raises DataError (file_unreadable) with the file's head where there is none."""
    start = body.lstrip(_BLANK)[:64]
    if not start:
        refuse("file_unreadable", "the file is empty", bytes=len(body))
    if start.startswith(b"<"):
        return camt.read
    for mark, words in _KNOWN.items():
        if body.startswith(mark):
            refuse("file_unreadable", f"the file is {words}, not a bank statement", head=repr(body[:40]))
    head = [line.strip() for line in islice(lines(body), _HEAD_LINES)]
    first = next((line for line in head if line.strip("\x00\x01\x1a\ufeff")), "").lstrip("\ufeff\x00\x01")
    if re.match(r"01,[^,]*,[^,]*,", first):
        return bai2.read
    if not any(_TAG.match(line) for line in head):
        refuse("file_unreadable", "the file is neither camt, nor MT940 or MT942, nor BAI2", head=repr(body[:120]))
    return mt.read


def has_end(body: bytes) -> bool:
    """Whether the file shows that it is whole. camt and BAI2 have an end; behind an MT940 message another may follow."""
    end = body[-400:].rstrip(b"\x00\x1a \t\r\n")
    return bool(_XML_END.search(end) or (body[:64].lstrip(_BLANK).startswith(b"01,") and _BAI2_END.search(end)))

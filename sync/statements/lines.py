"""The lines of a text file, whatever its encoding and line ends, without holding its text a second time."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHUNK = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST = 1 << 16
"""A line that is longer is no line of a statement: it comes in pieces."""


def encoding_of(body: bytes) -> str:
    """The encoding by its mark, by the zero bytes of a 16-bit one, or UTF-8 where all of it is; else Windows' western one."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return name
    head = body[:512]
    if head[1::2].count(0) > len(head) // 3:
        return "utf-16-le"
    if head[0::2].count(0) > len(head) // 3:
        return "utf-16-be"
    return "utf-8" if is_utf8(body) else "cp1252"


def is_utf8(body: bytes) -> bool:
    """Whether all of it decodes; piece by piece."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(body), _CHUNK):
            decoder.decode(body[at : at + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def lines(body: bytes) -> Iterator[str]:
    """Every line without its end; CR, LF and CRLF all end one. Bytes that the encoding does not know come as U+FFFD."""
    with io.TextIOWrapper(io.BytesIO(body), encoding=encoding_of(body), errors="replace", newline=None) as text:
        while line := text.readline(LONGEST):
            yield line.rstrip("\n")


def clean(text: str) -> str:
    """Free text without control characters and with single blanks."""
    if "  " not in text and text.isprintable():
        return text.strip(" ")  # nearly every text, and this is asked for several of every entry
    return " ".join(_CONTROL.sub(" ", text).split())

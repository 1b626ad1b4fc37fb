"""Whatever the bytes, a file is mapped or refused: no format crashes, hangs, or lands half."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable

import polars as pl
import pytest

from sync.errors import DataError
from sync.ports import Mapped, Page
from sync.systems.flat_files.client import FlatFiles
from tests.unit import test_flat_files_fixed as fixed
from tests.unit import test_flat_files_idoc as idocs
from tests.unit import test_flat_files_mapping as lines
from tests.unit.test_flat_files_packing import zipped

QUOTED = lines.body(['0001;"C;1";01.05.2026;1,00;EUR;F', *lines.GOOD[1:]], "T;3;EUR;-99,00;USD;7,25")
FORMATS: dict[str, tuple[Callable[[], FlatFiles], str, bytes]] = {
    "delimited": (lines.source, "items", lines.body()),
    "quoted": (lines.source, "items", QUOTED),
    "gzip": (lines.source, "items", gzip.compress(lines.body())),
    "zip": (lines.source, "items", zipped({"a.csv": lines.body(), "b.csv": lines.body()})),
    "fixed bytes": (fixed.source, "items", fixed.body()),
    "fixed characters": (lambda: fixed.source(positions="characters", record_length=None), "items", fixed.body()),
    "fixed frames": (lambda: fixed.source(framing="none", header=None, trailer=None, totals=None), "items", b"".join(fixed.GOOD)),
    "idoc xml": (lambda: idocs.XML, "invoices", idocs.xml(*idocs.INVOICES)),
    "idoc xml salvaged": (lambda: idocs.changed(idocs.XML, "invoices", salvage=True), "invoices", idocs.xml(*idocs.INVOICES)),
    "idoc flat": (lambda: idocs.FLAT, "invoices", idocs.flat(*idocs.INVOICES)),
    "idoc frames": (lambda: idocs.changed(idocs.FLAT, "invoices", salvage=True), "invoices", idocs.flat(*idocs.INVOICES, end="")),
    "idoc padded": (lambda: idocs.changed(idocs.FLAT, "invoices", pad=True), "invoices", idocs.flat(*idocs.INVOICES)),
}
PIECES = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b'"',
    b";",
    b"NaN",
    b"1e999",
    b"9" * 40,
    b"<!DOCTYPE a>",
    b"&amp;",
    b"EDI_DC40",
    "ß語".encode(),
)


def damaged(body: bytes, dice: random.Random) -> bytes:
    """The file with one to four of: a flipped byte, a piece put in, a part cut out or doubled, a cut end."""
    for _ in range(dice.randint(1, 4)):
        place, end = sorted((dice.randrange(len(body) + 1), dice.randrange(len(body) + 1)))
        how = dice.randrange(6)
        if how == 0 and body:
            at = min(place, len(body) - 1)
            body = body[:at] + bytes([dice.randrange(256)]) + body[at + 1 :]
        elif how == 1:
            body = body[:place] + dice.choice(PIECES) + body[place:]
        elif how == 2:
            body = body[:place] + body[min(end, place + 60) :]
        elif how == 3:
            body = body[:end] + body[place:]
        elif how == 4:
            body = body[:end]
        else:
            body = body[:place] + dice.randbytes(dice.randint(1, 12)) + body[place:]
    return body


def whole(found: Mapped) -> None:
    """Every record is in a frame, a reject, or left out by its own condition; no ordinal is out of range, none both lands and is refused."""
    refused = set(found.rejects["ordinal"].to_list())
    assert len(refused) == found.rejects.height
    for frame in found.frames.values():
        assert frame.filter(pl.col("ordinal").is_in(list(refused))).is_empty()
        assert frame.filter(~pl.col("ordinal").is_between(0, found.records - 1)).is_empty()


@pytest.mark.parametrize("name", list(FORMATS))
def test_damaged_files_are_mapped_or_refused(name: str) -> None:
    """Two hundred damages of a good file, and bytes without any meaning; the seed is the name of the format."""
    make, stream, body = FORMATS[name]
    source, dice = make(), random.Random(name)
    took = 0
    began = time.monotonic()
    bodies = [body, b"", b"\xef\xbb\xbf", b"\n", b"\0" * 50, b" " * 200, *(dice.randbytes(dice.randint(1, 400)) for _ in range(20))]
    bodies += [damaged(body, dice) for _ in range(200)]
    for place, content in enumerate(bodies):
        page = Page(content, "", None, name="x_20260520_7.csv", headers={"received_at": lines.NOW.isoformat()})
        try:
            whole(source.map(stream, page))
            took += 1
        except DataError as error:
            assert error.detail
            assert place > 0, error.detail
    assert 0 < took < len(bodies)
    assert time.monotonic() - began < 60

"""A file that is cut at any byte, or has one replaced, loads whole or not at all: every verdict has its evidence, nothing crashes."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from sync.errors import DataError
from sync.statements import Reading
from sync.statements import read as read_file
from tests.unit.statements import generated as made
from tests.unit.statements.camt_files import OWNERS, Camt

RECEIVED = datetime(2027, 6, 1, tzinfo=UTC)
CAMT = Camt("053", 8)
REPLACEMENTS = b"\x00\xff /-:9\n<"


def bai2() -> bytes:
    told = made.statement(random.Random(3), "USD", 3, account="77")
    for line in told.lines:
        line.booked = told.day
    return made.bai2([[told]], random.Random(1)).encode()


def report(sums: bool) -> bytes:
    """A report within the day, with its sums or with the dash only."""
    for seed in range(50):
        body = made.mt942(made.statement(random.Random(3), "EUR", 2), random.Random(seed))
        if (":90D:" in body) is sums:
            return body.encode()
    raise AssertionError("no such report")


FILES = {
    "camt": CAMT.document(CAMT.entry() + CAMT.entry("7.00", reference="R2"), closing="167.50"),
    "mt940": made.mt940(made.statement(random.Random(3), "EUR", 2), random.Random(4)).encode(),
    "mt942 with sums": report(sums=True),
    "mt942 without": report(sums=False),
    "bai2": bai2(),
}


def attempt(body: bytes) -> Reading | None:
    """The file read, or None where it is refused with a cause and with evidence; anything else fails the test."""
    try:
        return read_file(body, OWNERS, received=RECEIVED)
    except DataError as refused:
        assert refused.cause
        assert refused.evidence
        assert refused.detail
        return None


def amounts(found: Reading) -> list[object]:
    frame = found.facts.frames.get("bank_transaction")
    return [] if frame is None else sorted(frame["amount"].to_list())


@pytest.mark.parametrize("kind", FILES)
def test_cut_at_every_byte(kind: str) -> None:
    """What still lands has all of its entries; a few bytes at the end may be missing from where nothing stands."""
    body = FILES[kind]
    whole = attempt(body)
    assert whole is not None
    for at in range(1, len(body)):
        found = attempt(body[:at])
        if found is not None:
            assert amounts(found) == amounts(whole), body[:at][-60:]


@pytest.mark.parametrize("kind", FILES)
def test_bytes_replaced(kind: str) -> None:
    """No byte, whatever it becomes, makes a file that proves itself land with fewer entries or other amounts."""
    body = FILES[kind]
    whole = attempt(body)
    assert whole is not None
    for at in range(0, len(body), 4):  # a whole sweep takes minutes, and found nothing more
        byte = REPLACEMENTS[at // 4 % len(REPLACEMENTS)]
        found = attempt(body[:at] + bytes([byte]) + body[at + 1 :])
        if found is not None and kind != "mt942 without":  # nothing in that one could prove an amount
            assert amounts(found) == amounts(whole), (at, byte)


@pytest.mark.parametrize(
    "body",
    [
        b":20:1\n:25:1\n:28C:1\n:34F:EURD0,\n:13D:2603021200+0100 :61:260302D1,NMSCNONREF\n:61:260302C1,NMSCNONREF\n-\n",
        b":20:1\n:25:1\n:28C:1\n:60F:C260302EUR0,:61:260302D1,NMSCNONREF\n:62F:C260302EUR0,\n-\n",
    ],
)
def test_two_fields_in_one_line_lose_no_entry(body: bytes) -> None:
    """Where a line end was lost, the field behind it would be lost with it."""
    with pytest.raises(DataError, match="another field stands in the line"):
        read_file(body, OWNERS, received=RECEIVED)


def test_a_file_filled_up_to_its_block_is_whole() -> None:
    """With zeros or the end-of-file sign of old systems."""
    body = FILES["camt"]
    whole = attempt(body)
    assert whole is not None
    for fill in (b"\x1a", b"\0" * 400, b"\r\n\x1a\0"):
        found = attempt(body + fill)
        assert found is not None
        assert amounts(found) == amounts(whole)
    assert attempt(body + fill + b"<") is None
    assert attempt(body.decode().encode("utf-16")) is not None


@pytest.mark.parametrize(
    "body",
    [
        FILES["camt"].replace(b"7.00", b"7" * 1_000_000),
        FILES["camt"].replace(b"<Id>S-1</Id>", b"<Id>" + b"S" * 1_000_000 + b"</Id>").replace(b">7.00<", b">7.0.0<"),
        FILES["mt940"].replace(b"EUR", b"EUR" + b"9" * 1_000_000, 1),
    ],
)
def test_what_stands_in_place_of_a_field_does_not_fill_the_evidence(body: bytes) -> None:
    """A megabyte in an amount's place is told by its beginning."""
    with pytest.raises(DataError) as refused:
        read_file(body, OWNERS, received=RECEIVED)
    assert len(refused.value.detail) < 2_000
    assert len(str(refused.value.evidence)) < 4_000

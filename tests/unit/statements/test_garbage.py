"""No file may crash, hang or be half loaded: what is not a sound statement file is refused with a cause and evidence, whatever it is."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sync.canonical.causes import CAUSES
from sync.errors import DataError
from sync.ports import Mapped
from tests.unit.statements.camt_files import Camt, read
from tests.unit.statements.test_bai2 import CREDIT, bai2
from tests.unit.statements.test_mt import ENVELOPE, LINE, MT942, message

BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
OLD, NEW = Camt("053", 2), Camt("054", 8)
SOUND = (
    OLD.document(OLD.entry() + OLD.entry("999.00", status="PDNG", reference="R2")),
    NEW.document(NEW.entry()),
    Camt("052", 14).document(Camt("052", 14).entry()),
    (
        ENVELOPE
        + "\r\n"
        + message(*LINE, end="-}")
        + message(*LINE, number="13", opening=":60F:C260302EUR160,50", closing=":62F:C260303EUR221,00")
    ).encode(),
    MT942.encode(),
    bai2(CREDIT).encode(),
)
PIECES = (
    "<", ">", "</Stmt>", "<Stmt>", "<Ntry>", "</Ntry>", "<Amt Ccy='EUR'>", "&", "&#0;", "<![CDATA[", "]]>", "<!DOCTYPE x [", ":20:", ":61:", ":86:", ":60F:",
    ":62M:C260302EUR1,", "-}", "{4:", "{1:", "\n-\n", "?20", "/EREF/", "01,", "03,", "16,165,", "88,", "49,", "99,0,0,0/", ",", "/", "\x00", "\ufeff", "9" * 400,
    "NaN", "-", "260230", "null", "\r", "\n",
)  # fmt: skip


def sound_or_refused(body: bytes) -> Mapped | None:
    """What `read` gives, or None where it refused as it should; anything else fails."""
    try:
        found = read(body)
    except DataError as error:
        assert error.cause in CAUSES
        assert error.detail
        json.dumps(error.evidence)
        return None
    for entity, frame in found.frames.items():
        assert frame.height, entity
        assert frame["ordinal"].max() < found.records  # type: ignore[operator]
    return found


@BOUNDED
@given(st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b"\xff\xfe<\x00")
@example(b"\x00<\x00?")
@example(b"<")
@example(b"<?xml version='1.0' encoding='UTF-7'?><a/>")
@example(b"<?xml version='1.0' encoding='no such'?><a/>")
@example(b":20:")
@example(b":20:\n:25:1\n:61:\n:86:\n")
@example(b"01,,,")
@example(b"01,a,b,260230,9999/")
def test_any_bytes(body: bytes) -> None:
    """Bytes of nothing in particular."""
    assert sound_or_refused(body) is None


@BOUNDED
@given(st.sampled_from(SOUND), st.data())
def test_a_file_cut_at_any_place(body: bytes, data: st.DataObject) -> None:
    """A cut file lands nothing, unless only blanks were cut off or the message was whole before the cut."""
    at = data.draw(st.integers(0, len(body) - 1))
    found = sound_or_refused(body[:at])
    if found is not None:
        whole = read(body)
        assert not body[at:].strip(b" \r\n/") or body.startswith((b"{1:", b":20:")), body[at:]
        assert found.records <= whole.records


@BOUNDED
@given(st.sampled_from(SOUND), st.lists(st.tuples(st.floats(0, 1), st.sampled_from(PIECES), st.booleans()), min_size=1, max_size=4))
def test_a_file_with_pieces_out_of_place(body: bytes, changes: list[tuple[float, str, bool]]) -> None:
    """Marks of every format put in, or put over what was there."""
    for place, piece, over in changes:
        at = int(place * len(body))
        body = body[:at] + piece.encode() + body[at + (len(piece) if over else 0) :]
    sound_or_refused(body)


@BOUNDED
@given(st.sampled_from(SOUND), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_file_with_wrong_bytes(body: bytes, changes: list[tuple[float, int]]) -> None:
    """Single bytes turned into others; where it still lands, it balances."""
    turned = bytearray(body)
    for place, value in changes:
        turned[min(int(place * len(turned)), len(turned) - 1)] = value
    found = sound_or_refused(bytes(turned))
    assert found is None or all(total.agree for total in found.control_totals if total.verdict in ("balances", "totals"))


@pytest.mark.parametrize("first", range(len(SOUND)))
@pytest.mark.parametrize("second", range(len(SOUND)))
def test_two_formats_in_one_file(first: int, second: int) -> None:
    """A file that is half one and half another format is refused, and nothing of its first half lands; messages of one kind may follow."""
    found = sound_or_refused(SOUND[first] + SOUND[second])
    if found is not None:
        assert SOUND[first].startswith((b"{1:", b":20:", b"01,"))
        assert found.records == read(SOUND[first]).records + read(SOUND[second]).records


@pytest.mark.parametrize(
    "body",
    [
        random.Random(1).randbytes(10 << 20),
        b"\x00" * (10 << 20),
        b"A" * (10 << 20),
        b"<" * (10 << 20),
        b"<a>" * (3 << 20),
        b"<Document>" + b"&amp;" * (2 << 20),
        b":20:X\n:25:1\n:28C:1\n:60F:C260302EUR0,\n" + b":86:" + b"?20x" * (2 << 20),
        b":20:X\n:25:1\n" + b":61:\n" * (2 << 20),
        b":20:X\n:25:1\n:60F:C260302EUR0,\n:61:260302C1,NMSC" + b"9" * (10 << 20),
        b":20:X\n:25:1\n:60F:C260302EUR0,\n:61:260302C" + b"9," * (5 << 20),
        b"{1:" * (3 << 20),
        b"{1:{" + b"}{" * (4 << 20),
        b"01,a,b,260302,,/" + b"03,1,USD" + b",010,1" * (1 << 20),
        b"01,a,b,260302,,/02,a,b,1,260302,,,/03,1,USD,010,1,,D," + b"9" * (4 << 20),
        b"01,a,b,260302,,/02,a,b,1,260302,,,/" + b"03,1,USD/49,0,2/" * (1 << 15),
        b"%PDF-1.7 " + b"x" * (1 << 20),
        b"PK\x03\x04" + b"x" * (1 << 20),
    ],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
def test_ten_megabytes_of_garbage(body: bytes) -> None:
    """Refused, and soon: no length of anything makes it slow beyond its size."""
    start = time.monotonic()
    assert sound_or_refused(body) is None
    assert time.monotonic() - start < 60

"""Files of fixed positions are read by characters or bytes, and a line that does not fit costs only itself."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sync.connections import ConfigError, Connection, Landscape, load
from sync.errors import DataError
from sync.ports import Mapped, Page
from sync.systems.flat_files import make_source
from sync.systems.flat_files.client import FlatFiles

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
EXAMPLE = load(Path(__file__).parents[2] / "examples" / "fixed-width.toml", {"FIXED_DROP": "/nowhere"})
KIND = deepcopy(EXAMPLE.connections[0].options["files"][0])


def source(**changes: Any) -> FlatFiles:
    connection = Connection(name="gb", system="flat_files", region="EMEA", zone="Europe/London", options={"files": [{**KIND, **changes}]})
    return make_source(connection, Landscape())


def line(
    customer: str, name: str, document: str, amount: str, *, encoding: str = "utf-8", currency: str = "GBP", issued: str = "20260501"
) -> bytes:
    cells = [(customer, 8), (name, 30), (document, 10), (issued, 8), ("20260531", 8), (currency, 3), (amount.rjust(13), 13)]
    return b"".join(text.encode(encoding).ljust(width) for text, width in cells).ljust(100)


GOOD = [
    line("00000001", "Müller & Größe", "D1", "0000012345"),
    line("00000002", "日本電産", "D2", "5000-"),
    line("00000001", "", "D3", "1"),
]
HEADER, TRAILER = b"HDR20260520007", b"TRL0000003GBP       7346   "


def body(lines: list[bytes] = GOOD, header: bytes = HEADER, trailer: bytes = TRAILER, end: bytes = b"\n") -> bytes:
    return b"".join(each + end for each in (header, *lines, trailer) if each)


def mapped(content: bytes, **changes: Any) -> Mapped:
    page = Page(content, "", None, name="ITEMS.20260520.007", headers={"received_at": NOW.isoformat()})
    return source(**changes).map("items", page)


def refused(content: bytes, **changes: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        mapped(content, **changes)
    return caught.value


def test_lines_are_cut_by_bytes_and_amounts_are_exact() -> None:
    """Characters of two and three bytes before a column do not shift it; pence are implied; the trailer's sum agrees."""
    found = mapped(body())
    assert found.rejects.is_empty()
    assert found.frames["invoice"].select("source_key", "gross", "is_credit", "due_date").rows() == [
        ("D1", Decimal("123.45"), False, date(2026, 5, 31)),
        ("D2", Decimal(-50), True, date(2026, 5, 31)),
        ("D3", Decimal("0.01"), False, date(2026, 5, 31)),
    ]
    assert dict(found.frames["customer"].select("source_key", "name").rows())["00000002"] == "日本電産"
    assert {(total.verdict, total.agree) for total in found.control_totals} == {("trailer_count", True), ("trailer_amount", True)}
    assert found.frames["invoice"]["source_version"].to_list() == [20260520_000007] * 3


def test_positions_may_count_characters() -> None:
    """The same file cut by characters is another one: what was padded by characters is read by characters."""
    cells = ("00000001", "Müller".ljust(30), "D1".ljust(10), "20260501", " " * 8, "GBP", "5".rjust(13))
    padded = ["".join(cells).ljust(100).encode()]
    found = mapped(body(padded, trailer=b"TRL0000001GBP          5"), positions="characters")
    assert found.frames["invoice"]["gross"].to_list() == [Decimal("0.05")]


@pytest.mark.parametrize("framing", ["none", "auto"])
def test_records_may_stand_without_line_breaks(framing: str) -> None:
    """So many bytes each, or lines."""
    plain: dict[str, Any] = {"header": None, "trailer": None, "totals": None, "framing": framing}
    assert mapped(b"".join(GOOD) if framing == "none" else b"\r\n".join(GOOD), **plain).frames["invoice"].height == 3
    if framing == "none":
        assert "cut" in refused(b"".join(GOOD)[:-7], **plain).detail


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (GOOD[1][:-1], "99 bytes, not 100"),
        (GOOD[1] + b" ", "101 bytes, not 100"),
        (GOOD[1][:30] + b"\0" + GOOD[1][31:], "NUL"),
        (line("00000002", "x" * 29, "D2", "5").replace(b"x" * 29 + b" ", b"x" * 29 + "é".encode())[:100], "inside a character"),
    ],
)
def test_a_line_that_does_not_fit_is_one_reject(bad: bytes, words: str) -> None:
    """Too short, too long, broken inside a character: its neighbours land, and the sums stay unproven."""
    found = mapped(body([GOOD[0], bad, GOOD[2]]))
    assert found.frames["invoice"]["source_key"].to_list() == ["D1", "D3"]
    [reject] = found.rejects.to_dicts()
    assert (reject["ordinal"], reject["cause"]) == (1, "malformed_record")
    assert words in reject["message"]


def test_blanks_cut_at_the_end_are_no_damage_but_a_cut_amount_is() -> None:
    """Without a declared length a line may end early in a text, never inside an amount."""
    plain: dict[str, Any] = {"record_length": None, "trailer": None, "totals": None}
    lines = [line("00000001", "NORDHAFEN", "D1", "12345").rstrip(), line("00000002", "PEAK", "D2", "5")[:75]]
    for positions in ("bytes", "characters"):
        found = mapped(body(lines, trailer=b""), positions=positions, **plain)
        assert found.rejects["cause"].to_list() == ["malformed_record"]
        assert "ends inside AMOUNT" in found.rejects["message"][0]


@pytest.mark.parametrize(
    "content",
    [
        body(header=b""),
        body(trailer=b""),
        body(trailer=b"TRL0000003GBP       7346   EUR"),
        body(trailer=b"TRL0000004GBP       7346"),
        body(trailer=b"TRL0000003GBP       7347"),
        body(trailer=b"TRL0000003GBP        x46"),
        b"HDR2026",
        b"\n \n",
        body()[:-1].replace("ü".encode(), b"\xfc"),
    ],
)
def test_a_file_that_can_not_be_believed_is_refused(content: bytes) -> None:
    """No header, no trailer, other totals, another encoding."""
    assert refused(content).cause in ("file_unreadable", "control_total")


def test_ebcdic_is_an_encoding_like_others() -> None:
    """Records of a mainframe without line breaks, in code page 500."""
    record = line("00000001", "NORDHAFEN", "D1", "0000012345").decode().encode("cp500")
    found = mapped(record * 2, header=None, trailer=None, totals=None, framing="none", encoding="cp500")
    assert found.frames["invoice"]["gross"].to_list() == [Decimal("123.45")] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": {**KIND["columns"], "NAME": {}}}, "NAME needs its width"),
        ({"record_length": 50}, "beyond record_length 50"),
        ({"framing": "none", "record_length": None}, "needs record_length"),
        ({"trailer": {"marker": "TRL", "fields": ["records", "totals"], "widths": [7, 3]}}, "trailer needs 3 widths"),
    ],
)
def test_a_wrong_declaration_is_said_at_once(change: dict[str, Any], words: str) -> None:
    """With the stream and what is missing."""
    with pytest.raises(ConfigError, match=words):
        source(**change)

"""Files as foreign machines write them and as careless ones break them: what is read, what is refused, and that nothing else happens."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sync.connections import Connection, Landscape
from sync.declared.mapping import speaker_of
from sync.drops.arrivals import Arrivals, Signs
from sync.drops.calendar import calendars, expected
from sync.drops.folder import Folder
from sync.drops.options import DropOptions
from sync.errors import DataError
from sync.ports import Arrived, Mapped
from sync.systems.flat_files.declaration import declared
from sync.systems.flat_files.mapping import Arrival, map_file

NOW = datetime(2026, 11, 26, tzinfo=UTC)
NAMES = "K;N;C;A;D\r\n"
LINES = "0001;Müller;EUR;1.234,50-;01.02.2026\r\n0002;x;EUR;10,00;1.2.2026\r\n"
BODY = (NAMES + LINES).encode("cp1252")
TRAILER: dict[str, Any] = {"trailer": {"marker": "T", "fields": ["records", "totals"]}}
COLUMNS: dict[str, Any] = {
    "K": {"required": True}, "N": {}, "C": {"required": True}, "A": {"type": "amount", "required": True},
    "D": {"type": "date", "formats": ["%d.%m.%Y"], "required": True},
}  # fmt: skip
FIELDS = {"number": "K", "customer_key": "K", "issue_date": "D", "posting_date": "D", "gross": "A", "currency": "C",
          "is_credit": {"value": False}, "status": {"value": "posted"}}  # fmt: skip


def mapped(body: bytes | str, *, file: str = "f_20261126_000001.csv", beside: str | None = None, **changes: Any) -> Mapped:
    kind = {
        "stream": "items", "delimiter": ";", "encoding": "cp1252", "decimal": ",", "thousands": ".", "trailing_minus": True,
        "columns": COLUMNS, "totals": {"amount": "A", "currency_column": "C"},
        "entities": [{"entity": "invoice", "key": "K", "fields": FIELDS}], **changes,
    }  # fmt: skip
    connection = Connection(name="drop", system="flat_files", region="EMEA", legal_entities=("DE01",), options={"files": [kind]})
    plain = body.encode("cp1252") if isinstance(body, str) else body
    return map_file(plain, Arrival(file, NOW, beside), declared(connection).files[0], speaker_of(connection, Landscape()))


def amounts(found: Mapped) -> list[Decimal]:
    assert found.rejects.is_empty()
    return found.frames["invoice"]["gross"].to_list()


BOTH = [Decimal("-1234.50"), Decimal(10)]


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (BODY + b"\x1a", {}),
        ((NAMES + LINES + "T;2;EUR;1.224,50-\r\n\x1a").encode("cp1252"), TRAILER),
        (BODY.replace(b"\r\n", b"\r"), {}),
        ((NAMES + LINES).replace("\r\n", "\x85").encode("cp500"), {"encoding": "cp500"}),
        ((NAMES + LINES).replace("\r\n", "\n").encode("cp500"), {"encoding": "cp500"}),
    ],
)
def test_lines_end_as_the_senders_machine_ends_them(body: bytes, changes: dict[str, Any]) -> None:
    """DOS's end of a file, the carriage returns of old ones, the new line of EBCDIC."""
    assert amounts(mapped(body, **changes)) == BOTH


def test_three_points_of_cp1252_end_no_line() -> None:
    """What ends a line in EBCDIC is a character elsewhere."""
    assert mapped(NAMES + "1;a\u2026b;EUR;1,00;1.2.2026\r\n").records == 1


def test_a_quote_can_be_a_character_like_any_other() -> None:
    """TOML knows no null: an empty `quote` says so."""
    line = '0001;"2 Rohr;EUR;1,00;01.02.2026\r\n'
    with pytest.raises(DataError, match="quotes don't close"):
        mapped(NAMES + line + LINES)
    assert amounts(mapped(NAMES + line + LINES, quote="")) == [Decimal(1), *BOTH]


@pytest.mark.parametrize(
    ("trailer", "words"),
    [
        ("T;²;EUR;1.224,50-", "is no number of records"),
        ("T;" + "9" * 5000 + ";EUR;1.224,50-", "is no number of records"),
        ("T;2;EUR;1,00;EUR;1.224,50-", "two sums of one currency"),
        ("T;2;USD;1.224,50-", "trailer_amount USD"),
    ],
)
def test_a_trailer_that_says_nothing_clear_refuses_the_file(trailer: str, words: str) -> None:
    """No digits, two sums of one currency, or the sum of a currency under another true one."""
    with pytest.raises(DataError, match=words):
        mapped(NAMES + LINES + trailer + "\r\n", **TRAILER)


@pytest.mark.parametrize(
    "manifest",
    [
        '{"totals": {"EUR": "sNaN"}}', '{"totals": {"EUR": NaN}}', '{"totals": {"EUR": "Infinity"}}', '{"totals": {"EUR": true}}',
        '{"records": 2.7}', '{"records": true}', '{"records": 2, "records": 2}', "[" * 100_000, "[]", "",
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_refuses_the_file(manifest: str) -> None:
    """Nothing that is no finite amount, no whole number, or said twice is believed, and nothing crashes."""
    with pytest.raises(DataError, match="manifest can't be read"):
        mapped(BODY, beside=manifest, manifest={"suffix": ".m"})


def test_a_manifest_of_another_machine_is_read() -> None:
    """With a byte order mark, its digest in capitals with blanks around it, and its count as text."""
    told = {"sha256": f" {hashlib.sha256(BODY).hexdigest().upper()} ", "records": "2", "totals": {"EUR": -1224.5}}
    found = mapped(BODY, beside="\ufeff" + json.dumps(told), manifest={"suffix": ".m"})
    assert amounts(found) == BOTH
    assert {total.agree for total in found.control_totals} == {True}


@pytest.mark.parametrize(
    ("older", "newer", "expression"),
    [
        ("f_20261231235959", "f_20270101000000", r"_(?P<period>\d{14})"),
        ("f_202612312359", "f_202701010000", r"_(?P<period>\d{12})"),
        ("f_1999999", "f_2000000", r"_(?P<sequence>\d+)"),
        ("f_20261126_0999999", "f_20261126_1000000", r"_(?P<period>\d{8})_(?P<sequence>\d+)"),
        ("f_20261231_5000000", "f_20270101_0000001", r"_(?P<period>\d{8})_(?P<sequence>\d+)"),
        ("f_20261126_000001", "f_20261126_000002", r"_(?P<period>\d{8})_(?P<sequence>\d+)"),
    ],
)
def test_a_later_file_has_a_higher_version_whatever_its_numbers_look_like(older: str, newer: str, expression: str) -> None:
    """Else its corrections would never replace what is there."""
    before, after = (mapped(BODY, file=name, name=expression).frames["invoice"]["source_version"][0] for name in (older, newer))
    assert before < after < 2**63


def test_numbers_of_thousands_of_digits_are_nothing() -> None:
    """A header that says so crashes nothing."""
    found = mapped("H;" + "9" * 5000 + "\r\n" + NAMES + LINES, header={"marker": "H", "fields": ["sequence"]})
    assert amounts(found) == BOTH


def test_a_temporary_name_is_one_in_capitals_too(tmp_path: Path) -> None:
    """As some machines write them."""
    for name in ("A.CSV", "B.CSV.TMP", "C.csv.FilePart"):
        (tmp_path / name).write_bytes(BODY)
    look = Arrivals([Folder(str(tmp_path), "drop")], DropOptions(folders=(str(tmp_path),))).look(Signs())
    assert [dropped.file.name for dropped in look.complete] == ["A.CSV"]


def test_a_name_that_says_a_moment_says_its_day() -> None:
    """YYYYMMDDhhmmss counts for its day in the calendar."""
    options = {"files": [{"stream": "items", "name": r"_(?P<period>\d{14})", "expect": {"by": "18:00"}}]}
    calendar, name = calendars(options)["items"]
    came = [Arrived("f_20261124103000.csv", datetime(2026, 11, 25, 9, tzinfo=UTC))]
    since = datetime(2026, 11, 24, tzinfo=UTC)
    found = expected(calendar, came, zone=None, name=name, since=since, now=datetime(2026, 11, 25, 10, tzinfo=UTC))
    assert [(each.subject, each.state) for each in found] == [("2026-11-24", "received"), (date(2026, 11, 25).isoformat(), "expected")]

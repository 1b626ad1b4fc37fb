"""Packed files are unpacked within bounds that no archive may stretch; what is refused says why."""

from __future__ import annotations

import gzip
import io
import random
import stat
import zipfile

import pytest

from sync.errors import DataError
from sync.systems.flat_files.packing import ENTRIES_MAX, UNPACKED_MAX, unpacked
from tests.unit.test_flat_files_mapping import GOOD, body, changed, mapped, refused

LIMIT = 512 << 20


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return held.getvalue()


def encrypted() -> bytes:
    """An archive whose entry says that it is encrypted, in both of its headers."""
    raw = bytearray(zipped({"a.csv": b"1"}, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + offset] |= 1
    return bytes(raw)


def linking() -> bytes:
    """An archive that holds a link beside its file, as archivers of Unix keep it."""
    link = zipfile.ZipInfo("b.csv")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    held = io.BytesIO(zipped({"a.csv": b"1"}))
    with zipfile.ZipFile(held, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    return held.getvalue()


def lying() -> bytes:
    """An archive whose directory says one byte of an entry of twenty million."""
    raw = bytearray(zipped({"a.csv": b"0" * 20_000_000}))
    place = raw.index(b"PK\x01\x02")
    raw[place + 24 : place + 28] = (1).to_bytes(4, "little")
    return bytes(raw)


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (zipped({f"{n}.csv": b"1" for n in range(ENTRIES_MAX + 1)}), "101 entries"),
        (zipped({"a.csv": b"0" * 20_000_000}), "100 times"),
        (lying(), "can't be read"),
        (zipped({"../a.csv": b"1"}), "leads elsewhere"),
        (zipped({"/a.csv": b"1"}), "leads elsewhere"),
        (zipped({"C:\\a.csv": b"1"}), "leads elsewhere"),
        (zipped({"a\\..\\..\\b.csv": b"1"}), "leads elsewhere"),
        (linking(), "is a link"),
        (encrypted(), "encrypted"),
        (zipped({"a.zip": zipped({"b.csv": b"1"})}), "another archive"),
        (zipped({"a.gz": gzip.compress(b"1")}), "another archive"),
        (gzip.compress(gzip.compress(b"1")), "another archive"),
        (zipped({}), "holds no file"),
        (zipped({"__MACOSX/a": b"1"}), "holds no file"),
        (zipped({"a.csv": b"12345" * 100})[:-10], "can't be read"),
        (zipped({"a.csv": b"12345"}, zipfile.ZIP_STORED).replace(b"12345", b"12346", 1), "can't be read"),
        (b"PK\x03\x04 nothing", "can't be read"),
        (gzip.compress(b"0" * 20_000_000), "100 times"),
        (gzip.compress(b"1" * 100)[:-5], "cut"),
    ],
    ids=[
        "too many",
        "bombs",
        "lies about its size",
        "above",
        "absolute",
        "drive",
        "above, Windows",
        "link",
        "encrypted",
        "archive in an archive",
        "gzip in an archive",
        "gzip twice",
        "empty",
        "only hidden",
        "cut zip",
        "wrong sum",
        "no zip",
        "gzip bomb",
        "cut gzip",
    ],
)
def test_hostile_archives_are_refused(packed: bytes, words: str) -> None:
    """Bombs, ways out, lies, cuts, nests: none unpacks, each in words."""
    with pytest.raises(DataError, match=words) as caught:
        unpacked(packed, LIMIT)
    assert caught.value.cause == "file_unreadable"


def test_the_total_is_counted_over_all_entries() -> None:
    """Each entry is small enough, all together are not."""
    noise = random.Random(1).randbytes(300_000)
    packed = zipped({str(n): noise for n in range(5)}, zipfile.ZIP_STORED)
    assert len(unpacked(packed, LIMIT)) == 5
    with pytest.raises(DataError, match="unpacks to more than 1000000 bytes"):
        unpacked(packed, 1_000_000)
    assert UNPACKED_MAX == 200 << 20


def test_a_small_file_of_equal_lines_packs_as_well_as_it_likes() -> None:
    """A ratio hurts nobody below a megabyte."""
    assert unpacked(gzip.compress(b"a;b;c\n" * 100_000), LIMIT)[0][1].startswith(b"a;b;c")


def test_the_files_of_an_archive_are_one_file() -> None:
    """Records are numbered on; every trailer is checked against its own lines; a litter file of a desktop is none."""
    second = [line.replace("000", "010", 1) for line in GOOD]
    found = mapped(zipped({"a.csv": body(), "__MACOSX/._a.csv": b"x", "b/": b"", "b/b.csv": body(second)}))
    assert found.records == 6
    assert found.frames["invoice"]["ordinal"].to_list() == [0, 1, 2, 3, 4, 5]
    assert found.frames["invoice"]["source_key"].to_list() == ["0001", "0002", "0003", "0101", "0102", "0103"]
    assert {total.subject for total in found.control_totals} == {"items_7.csv/a.csv", "items_7.csv/b/b.csv"}


def test_one_bad_file_of_an_archive_refuses_it_whole() -> None:
    """All or nothing: a total that disagrees, a cut file."""
    wrong = body(trailer="T;3;EUR;1.134,51;USD;7,25")
    assert refused(zipped({"a.csv": body(), "b.csv": wrong})).cause == "control_total"
    assert refused(zipped({"a.csv": body(), "b.csv": body()[:-40]})).cause == "file_unreadable"


def test_a_manifest_speaks_for_the_whole_archive() -> None:
    """Its count and sums are those of all the files together."""
    packed = zipped({"a.csv": body(), "b.csv": body([GOOD[0].replace("0001", "0009")], "T;1;EUR;1.234,50")})
    good = '{"records": 4, "totals": {"EUR": "2369.00", "USD": "7.25"}}'
    kind = changed(manifest={})
    assert all(total.agree for total in mapped(packed, kind, manifest=good).control_totals)
    assert refused(packed, kind, manifest=good.replace("2369", "2368")).cause == "control_total"

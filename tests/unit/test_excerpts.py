"""A record's own text out of its page: a line, a packed line, an IDoc; what can't be told apart is shown from its beginning."""

from __future__ import annotations

import gzip

from sync.ports import Page
from sync.records import excerpt
from tests.unit.test_flat_files_idoc import FLAT, INVOICES, XML, flat, xml


def shown(body: bytes, ordinal: int, content_type: str = "text/csv", **headers: str) -> str:
    return excerpt(Page(body, content_type, None, name="a.csv", headers=headers), ordinal)


def test_a_packed_line_is_shown_as_it_reads() -> None:
    """With its head, from gzip too; broken gzip shows what is there."""
    body = b"A;B\n1;2\n3;4\n"
    assert shown(body, 1) == shown(gzip.compress(body), 1, "application/gzip") == "A;B\n3;4"
    assert shown(b"\x1f\x8bnothing", 0, "application/gzip")
    assert shown(b"PK\x03\x04", 0, "application/zip") == "a.csv is a zip archive of 4 bytes"


def test_an_idoc_is_shown_whole_and_alone() -> None:
    """The second of two, in XML and flat."""
    for source, body in ((XML, xml(*INVOICES)), (FLAT, flat(*INVOICES))):
        mark = r"<IDOC[\s>]" if source is XML else "EDI_DC40"
        second = shown(body, 1, "text/plain", record_mark=mark)
        assert second.startswith(("<IDOC ", "EDI_DC40"))
        assert "0090000002" in second
        assert "0090000001" not in second


def test_a_record_is_found_by_the_way_to_it() -> None:
    """Not the first list of the answer, but the declared one; a record within a record; one that stands under its key."""
    body = b'{"links":[{"rel":"next"}],"invoices":[{"id":1,"lines":[{"n":"a"}]},{"id":2},{"id":3,"lines":[{"n":"b"},{"n":"c"}]}],"by":{"x":{"k":9}}}'
    assert '"id": "2"' in shown(body, 1, "application/json", records_way='["invoices", "[*]"]')
    assert '"n": "c"' in shown(body, 2, "text/plain", records_way='["invoices", "[*]", "lines", "[*]"]')
    assert '"k": "9"' in shown(body, 0, "application/json", records_way='["by", "*"]')


def test_what_nobody_can_read_is_shown_as_it_came() -> None:
    """Nested beyond measure, and in a character set that is none."""
    assert shown(b"[" * 100_000, 0, "application/json").startswith("[[[")
    assert shown(b"<x/>", 0, "text/xml; charset=hex") == "<x/>"

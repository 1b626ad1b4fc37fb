"""`connections test` on a declaration that is half right: which line is wrong, in words, and what the application sent."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from sync.ports import Finding
from tests.contracts.rest_vendors import INVOICE, NOW, SECRETS, vendor
from tests.contracts.suite_server import Asked, Reply, reply_json

HEAD = """
auth = { kind = "bearer" }
[[streams]]
stream = "invoices"
path = "v1/invoices"
records = "data"
paging = { style = "cursor", cursor = "meta.next", size_param = "limit", size = 3 }
"""
RECORDS: list[dict[str, Any]] = [
    {"id": f"i{n}", "number": f"A-{n}", "customer": "c1", "issued": "2026-05-01", "total": "1.50", "currency": "USD", "status": "open",
     "updated": "2026-05-01T10:00:00Z", "payment": {"id": "p1", "odd.name": None}, "lines": [{"sku": "x"}]}
    for n in range(6)
]  # fmt: skip


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(f"VENDOR_{name.upper()}", f"its-{name}")


def _pages(asked: Asked) -> Reply:
    start = int(asked.query.get("cursor", 0))
    following = str(start + 3) if start == 0 else None
    return reply_json({"data": RECORDS[start : start + 3], "meta": {"next": following, "count": 3}, "success": True})


def _found(options: str, answer: Any = _pages) -> tuple[dict[str, Finding], str]:
    """The findings by what was tried, and the words of those that are not well."""
    with vendor(options, answer) as app, closing(app.source()) as source:
        found = list(source.probe(now=NOW))
    return {one.what: one for one in found}, " | ".join(f"{one.what}: {one.words}" for one in found if not one.ok)


def test_a_right_declaration_has_nothing_to_say() -> None:
    """All well, the next page asked for too, and what is sent and not declared with its paths."""
    found, wrong = _found(HEAD + INVOICE)
    assert wrong == ""
    assert found["invoices next page"].words == "by cursor=3, limit=3: 3 more records"
    assert found["  payment.id"].words == 'text "p1"'
    assert found['  payment["odd.name"]'].words == "nothing"
    assert found["  lines[0].sku"].words == 'text "x"'


def test_a_draft_shows_what_was_sent() -> None:
    """With no more than the list's path: the lists of the answer, then, where records are named, their values."""
    found, _ = _found('[[streams]]\nstream = "invoices"\npath = "v1/invoices"\nrecords = "data"')
    assert found["  total"].words == 'text "1.50"'
    assert "meta.next text" in found["invoices next page"].words or found["invoices next page"].ok
    _, wrong = _found('[[streams]]\nstream = "invoices"\npath = "v1/invoices"')
    assert "data (a list of 3)" in wrong
    assert 'meta.next (text "3")' in wrong


@pytest.mark.parametrize(
    ("right", "written", "words"),
    [
        ('records = "data"', 'records = "items"', ["no member 'items'", "absent_is_empty = true", "data (a list of 3)", "success (flag true)"]),
        ('records = "data"', 'records = "meta"', ["with records at meta", "data (a list of 3)"]),
        ('cursor = "meta.next"', 'cursor = "meta.nxt"', ["nothing stands at meta.nxt", "the page is full (3 records)", 'meta.next text "3"']),
        ('cursor = "meta.next"', 'of_record = "id", param = "after"', ["round in circles", "after=i2"]),
        ("customer = {}", 'customer = "custommer"', ["nothing is called custommer", "near it stands customer", "would be quarantined: missing_field", "it comes from customer (at custommer)"]),
        ('total = { type = "amount" }', 'total = { type = "amount", decimal = "," }', ["column total, at total", "`decimal`"]),
        ('issued = { type = "date" }', 'issued = { type = "date", formats = ["%d/%m/%Y"] }', ["bad_date: issued 2026-05-01", "`formats`"]),
        ('open = "posted"', 'opened = "posted"', ["status open is none of opened", "add it to `values`"]),
        ("number = {}", 'number = "payment"', ["schema_drift: number has become", "name the value within"]),
        ("updated = {", 'flag = { path = "status", type = "flag" }\nupdated = {', ["flag open is not a flag", "`true` and `false`"]),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(right: str, written: str, words: list[str]) -> None:
    """What the line should be compared with stands in the words."""
    whole = HEAD + INVOICE
    assert right in whole
    _, wrong = _found(whole.replace(right, written, 1))
    for each in words:
        assert each in wrong


def test_what_the_application_says_is_shown() -> None:
    """An error in an answer of 200, a page of the web site, a wrong key."""
    whole = HEAD + INVOICE
    _, wrong = _found(whole, lambda _: reply_json({"success": False, "error": "invalid scope"}))
    assert "answered 200 with an error: invalid scope" in wrong
    _, wrong = _found(whole, lambda _: Reply(b"<html>Log in</html>", content_type="text/html"))
    assert "is base_url the address of the API" in wrong
    _, wrong = _found(whole, lambda _: reply_json({"success": True, "key": "its-token"}))
    assert "its-token" not in wrong

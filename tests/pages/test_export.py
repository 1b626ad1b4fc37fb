"""Exports that no spreadsheet runs as a formula, with numbers that stay numbers."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from xml.etree.ElementTree import fromstring

import polars as pl
import pytest

from app import export

FORMULAS = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1", '=HYPERLINK("http://x","y")', "  =1+1", "＝1+1"]
_NS = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "=name": ["=1+1", "plain", None],
            "amount": pl.Series([Decimal("-1234.5600"), Decimal("123456789012345.6789"), None], dtype=pl.Decimal(19, 4)),
            "count": [1, -2, None],
            "due": [date(2026, 11, 23), None, None],
            "seen": pl.Series([datetime(2026, 11, 23, 9, 30, tzinfo=UTC), None, None], dtype=pl.Datetime("us", "UTC")),
            "open": [True, False, None],
        }
    )


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_would_run_is_guarded(text: str) -> None:
    """Text that begins like a formula begins with an apostrophe instead, and holds no NUL."""
    assert export.safe_text(text).startswith("'")
    assert "\0" not in export.safe_text(text)


def test_ordinary_text_is_left_alone() -> None:
    """Names and numbers of customers are exported as they are."""
    assert export.safe_text("Harrow & Pike Ltd") == "Harrow & Pike Ltd"


def test_csv_guards_text_and_keeps_numbers() -> None:
    """In the CSV the formula is text, the negative amount is a number, the header is guarded too."""
    rows = list(csv.reader(io.StringIO(export.to_csv(frame()).decode("utf-8-sig"))))
    assert rows[0][0] == "'=name"
    assert rows[1] == ["'=1+1", "-1234.5600", "1", "2026-11-23", "2026-11-23T09:30:00+00:00", "yes"]
    assert rows[2][1] == "123456789012345.6789"
    assert rows[3] == ["", "", "", "", "", ""]


def test_xlsx_holds_no_formula_and_exact_numbers() -> None:
    """The sheet has no formula cell; numbers are numbers where a sheet keeps them exactly, text where it would round."""
    with zipfile.ZipFile(io.BytesIO(export.to_xlsx(frame(), "Aging [EUR]"))) as book:
        sheet = fromstring(book.read("xl/worksheets/sheet1.xml"))
        strings = book.read("xl/sharedStrings.xml").decode()
    cells = {cell.get("r"): (cell.get("t"), cell.findtext("s:v", namespaces=_NS)) for cell in sheet.iterfind(".//s:c", _NS)}
    assert sheet.findall(".//s:f", _NS) == []
    assert cells["A2"][0] == "s"
    assert "'=1+1" in strings
    assert cells["B2"][0] is None
    assert Decimal(cells["B2"][1] or "0") == Decimal("-1234.56")
    assert cells["B3"][0] == "s"
    assert "123456789012345.6789" in strings
    assert cells["C3"] == (None, "-2")


def test_xlsx_refuses_more_rows_than_a_sheet_has() -> None:
    """Beyond a sheet's rows it says so instead of cutting the table off."""
    with pytest.raises(ValueError, match="narrow the filter"):
        export.to_xlsx(pl.DataFrame({"n": pl.arange(0, 1_048_576, eager=True)}))


def test_file_names_are_plain() -> None:
    """A file's name keeps letters and digits only, whatever the customer is called."""
    assert export.file_name(["tidegate", "journey", "../../90:01"], "csv") == "tidegate-journey-90-01.csv"

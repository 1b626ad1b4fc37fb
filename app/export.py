"""Tables as CSV and XLSX, safe to open in a spreadsheet.

Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers stay numbers; nothing is rounded.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import xlsxwriter

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
_XLSX_ROWS = 1_048_575
_XLSX_EXACT_DIGITS = 15


def safe_text(text: str) -> str:
    """`text` so that no spreadsheet takes it for a formula; NUL characters, which no sheet may hold, become U+FFFD."""
    guarded = "'" + text if text.lstrip(" ").startswith(_DANGEROUS) else text
    return guarded.replace("\0", "\ufffd")


def to_csv(frame: pl.DataFrame) -> bytes:
    """The frame as CSV: UTF-8 with a byte order mark (spreadsheets ask for it), comma, times ISO 8601 with offset."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerow([safe_text(name) for name in frame.columns])
    for row in frame.iter_rows():
        writer.writerow([_csv_cell(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def to_xlsx(frame: pl.DataFrame, title: str = "Tidegate") -> bytes:
    """The frame as XLSX, formulas, links and number guessing off. Raises ValueError beyond a sheet's rows."""
    if frame.height > _XLSX_ROWS:
        raise ValueError(f"A sheet holds {_XLSX_ROWS} rows, this table has {frame.height}: narrow the filter or take the CSV.")
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as book:
        sheet = book.add_worksheet(_sheet_name(title))
        formats = {
            "head": book.add_format({"bold": True, "bottom": 1}),
            "day": book.add_format({"num_format": "yyyy-mm-dd"}),
            "whole": book.add_format({"num_format": "#,##0"}),
            "exact": book.add_format({"num_format": "#,##0.00##"}),
        }
        for column, name in enumerate(frame.columns):
            sheet.write_string(0, column, safe_text(name), formats["head"])
        for index, row in enumerate(frame.iter_rows(), start=1):
            for column, cell in enumerate(row):
                _write(sheet, index, column, cell, formats)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, frame.height, max(frame.width - 1, 0))
        sheet.set_column(0, max(frame.width - 1, 0), 18)
    return out.getvalue()


def file_name(parts: Sequence[str], ending: str) -> str:
    """A file's name out of words: lower case, dashes, nothing that a file system minds."""
    words = "-".join(parts).lower()
    clean = "".join(char if char.isalnum() and char.isascii() else "-" for char in words)
    return "-".join(piece for piece in clean.split("-") if piece) + "." + ending


def _csv_cell(cell: Any) -> Any:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int | float | Decimal):
        return f"{cell:f}" if isinstance(cell, Decimal) else cell
    if isinstance(cell, date | datetime):
        return cell.isoformat()
    return safe_text(_text(cell))


def _write(sheet: Any, row: int, column: int, cell: Any, formats: dict[str, Any]) -> None:
    if cell is None:
        sheet.write_blank(row, column, None)
    elif isinstance(cell, bool):
        sheet.write_string(row, column, "yes" if cell else "no")
    elif isinstance(cell, int | float | Decimal) and _is_exact_in_a_sheet(cell):
        whole = isinstance(cell, int)
        sheet.write_number(row, column, cell, formats["whole"] if whole else formats["exact"])
    elif isinstance(cell, Decimal | int | float):
        # A sheet keeps 15 digits: a longer number is written as text rather than silently rounded.
        sheet.write_string(row, column, f"{cell:f}" if isinstance(cell, Decimal) else str(cell))
    elif isinstance(cell, datetime):
        sheet.write_string(row, column, cell.isoformat())
    elif isinstance(cell, date):
        sheet.write_datetime(row, column, datetime(cell.year, cell.month, cell.day), formats["day"])  # noqa: DTZ001 - a date has no zone
    else:
        sheet.write_string(row, column, safe_text(_text(cell))[:32_767])


def _is_exact_in_a_sheet(cell: float | Decimal) -> bool:
    if isinstance(cell, float):
        return cell == cell and abs(cell) != float("inf")  # noqa: PLR0124 - NaN is the one value unequal to itself
    digits = Decimal(cell).normalize().as_tuple().digits
    return len(digits) <= _XLSX_EXACT_DIGITS


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, default=str, ensure_ascii=False)


def _sheet_name(title: str) -> str:
    return "".join(" " if char in "[]:*?/\\'" else char for char in title).strip()[:31] or "Tidegate"

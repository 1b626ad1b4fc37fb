"""JSON values as the text that a declaration's columns are read from. Pure.

A number is its own digits, never a binary fraction. Moments of an epoch and of ISO 8601 are brought into one form; amounts in minor units
into major ones. What can't be is handed on as it is, so that the column refuses it in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from db.money import currencies, exponent
from sync.systems.rest.declaration import RestColumn, RestStream
from sync.systems.rest.paths import at

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"seconds": 1, "milliseconds": 1000}


def texts(record: Mapping[str, Any], stream: RestStream, zone: str | None) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    """(declared column -> its text or None, (column, text) of each that holds an object or a list where one value was declared).

    `zone`: the connection's, for moments that name none.
    """
    row: dict[str, str | None] = {}
    reshaped: list[tuple[str, str]] = []
    for name, column in stream.columns.items():
        value = at(record, stream.path_of(name))
        text = plain(value)
        if isinstance(value, dict | list):
            reshaped.append((name, (text or "")[:200]))
            text = None
        elif text is not None and column.type in ("time", "date"):
            text = _moment(text, column, zone)
        elif text is not None and column.upper:
            text = text.upper()
        row[name] = text
    for name, column in stream.columns.items():
        text = row[name]
        if column.minor_units is not None and text is not None:
            row[name] = major(text, row.get(column.minor_units) if column.minor_units in stream.columns else column.minor_units)
    return row, reshaped


def plain(value: Any) -> str | None:
    """One JSON value as text; None for null. An object or a list is its JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else msgspec.json.encode(value, enc_hook=str).decode()


def major(text: str, currency: str | None) -> str:
    """An amount in minor units as one in major units of the currency; what is none is said so, and is refused as an amount."""
    if currency is None or currency not in currencies():
        return f"{text} minor units of {currency or 'no currency'}"
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or number != number.to_integral_value():
        return f"{text} is no whole number of minor units"
    return format(number.to_integral_value().scaleb(-exponent(currency)), "f")


def newest(rows: Iterable[Mapping[str, str | None]], column: str) -> datetime | None:
    """The newest moment or day in a column of texts, UTC; a day counts from its beginning."""
    found = [stamp for row in rows if (stamp := _stamp(row.get(column))) is not None]
    return max(found, default=None)


def asked(moment: datetime, form: str) -> str:
    """A moment as the application wants to be asked; see Incremental.format."""
    utc = moment.astimezone(UTC)
    if form == "iso":
        return f"{utc:%Y-%m-%dT%H:%M:%SZ}"
    if form == "date":
        return f"{utc:%Y-%m-%d}"
    if form in ("epoch", "epoch_ms"):
        return str((utc - _EPOCH) // timedelta(seconds=1 if form == "epoch" else 0.001))
    return utc.strftime(form)


def _moment(text: str, column: RestColumn, zone: str | None) -> str:
    if column.epoch is not None:
        return _of_epoch(text, column)
    if not column.is_iso:
        return text
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return text
    if read.tzinfo is not None:
        return f"{read.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}+0000"
    return f"{read:%Y-%m-%dT%H:%M:%S.%f}" if column.zone or zone else f"{text} (which names no zone)"


def _of_epoch(text: str, column: RestColumn) -> str:
    try:
        number = Decimal(text)
        micros = int((number * 1_000_000 / _PER_SECOND[column.epoch or "seconds"]).to_integral_value())
        read = _EPOCH + timedelta(microseconds=micros)
    except (InvalidOperation, OverflowError, ValueError):
        return f"{text} (which is no number of {column.epoch})"
    return f"{read:%Y-%m-%d}" if column.type == "date" else f"{read:%Y-%m-%dT%H:%M:%S.%f}+0000"


def _stamp(text: str | None) -> datetime | None:
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)

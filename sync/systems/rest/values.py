"""JSON values as the text that a declaration's columns are read from. Pure.

A number is its own digits, never a binary fraction. Moments of an epoch and of ISO 8601 are brought into one form; amounts in minor units
into major ones. What can't be is handed on as it is, so that the column refuses it in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from db.money import currencies, exponent
from sync.systems.rest.declaration import RestColumn, RestStream
from sync.systems.rest.paths import Found

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOTNET = re.compile(r"/Date\((?P<millis>-?\d+)(?:[+-]\d{4})?\)/")
"""A moment as older .NET writes it; its offset is only how it was shown."""
_WHOLE = re.compile(r"^([+-]?\d+)\.0+$")
"""A whole number as some write it: 30.0."""
_PER_SECOND = {"seconds": 1, "milliseconds": 1000}


def texts(record: Found, stream: RestStream, zone: str | None) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    """(declared column -> its text or None, (column, text) of each that holds an object or a list where one value was declared).

    `zone`: the connection's, for moments that name none.
    """
    row: dict[str, str | None] = {}
    reshaped: list[tuple[str, str]] = []
    for name, column in stream.columns.items():
        value = record.at(stream.path_of(name))
        text = plain(value)
        if text is not None and text.strip() in stream.null_values:
            text = None
        elif isinstance(value, dict | list):
            reshaped.append((name, (text or "")[:200]))
            text = None
        elif text is not None and column.type in ("time", "date"):
            text = _moment(text.strip(), column, zone)
        elif text is not None and column.type == "integer":
            text = _WHOLE.sub(r"\1", text.strip())
        elif text is not None and column.upper:
            text = text.upper()
        row[name] = text
    for name, column in stream.columns.items():
        text = row[name]
        if column.minor_units is not None and text is not None and text.strip():
            code = row.get(column.minor_units) if column.minor_units in stream.columns else column.minor_units
            row[name] = major(text.strip(), code, stream.minor_digits)
    return row, reshaped


def plain(value: Any) -> str | None:
    """One JSON value as text; None for null. An object or a list is its JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else msgspec.json.encode(value, enc_hook=str).decode()


def major(text: str, currency: str | None, digits: Mapping[str, int] | None = None) -> str:
    """An amount in minor units as one in major units of the currency; what is none is said so, and is refused as an amount. `digits`: how many
    decimals the application gives a currency, where they are not those of ISO 4217.
    """
    if currency is None or currency not in currencies():
        return f"{text} minor units of {currency or 'no currency'}"
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or number != number.to_integral_value():
        return f"{text} is no whole number of minor units"
    places = (digits or {}).get(currency, exponent(currency))
    return format(number.to_integral_value().scaleb(-places), "f")


def asked(moment: datetime, form: str, zone: str | None = None) -> str:
    """A moment as the application wants to be asked; see Incremental. `zone`: by whose clock a day, or a pattern that names no zone, is written,
    else UTC. A local time that a clock change repeats is asked for from before it.
    """
    utc = moment.astimezone(UTC)
    if form == "iso":
        return f"{utc:%Y-%m-%dT%H:%M:%SZ}"
    if form in ("epoch", "epoch_ms"):
        return str((utc - _EPOCH) // timedelta(seconds=1 if form == "epoch" else 0.001))
    local = utc if zone is None else _unambiguous(utc, ZoneInfo(zone))
    return f"{local:%Y-%m-%d}" if form == "date" else local.strftime(form)


def _unambiguous(utc: datetime, zone: ZoneInfo) -> datetime:
    local = utc.astimezone(zone)
    back = local.replace(fold=0).utcoffset() or timedelta()
    forth = local.replace(fold=1).utcoffset() or timedelta()
    return (utc - (back - forth) * 2).astimezone(zone) if back > forth else local


def _moment(text: str, column: RestColumn, zone: str | None) -> str:
    if column.epoch is not None:
        return _of_epoch(text, column.epoch, column)
    if not column.is_iso:
        return text
    dotnet = _DOTNET.fullmatch(text)
    if dotnet:
        return _of_epoch(dotnet["millis"], "milliseconds", column)
    try:
        return _written(datetime.fromisoformat(text.replace("z", "Z")), column, zone) or f"{text} (which names no zone)"
    except OverflowError:
        return f"{text} (which lies outside the calendar)"
    except ValueError:
        return text


def _written(read: datetime, column: RestColumn, zone: str | None) -> str | None:
    """A moment in the form that its column reads; None for one of no zone where one is needed. The day of a moment is the day as it is
    written, or where the column names a zone the day there.
    """
    if column.type == "date":
        there = read.astimezone(ZoneInfo(column.zone)) if column.zone and read.tzinfo else read
        return there.date().isoformat()
    if read.tzinfo is not None:
        return f"{read.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}+0000"
    return read.isoformat(timespec="microseconds") if column.zone or zone else None


def _of_epoch(text: str, unit: str, column: RestColumn) -> str:
    try:
        micros = int((Decimal(text) * 1_000_000 / _PER_SECOND[unit]).to_integral_value())
        return _written(_EPOCH + timedelta(microseconds=micros), column, None) or text
    except (InvalidOperation, OverflowError, ValueError):
        return f"{text} (which is no number of {unit})"

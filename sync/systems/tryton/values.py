"""Tryton's typed values, in both directions. Pure.

A Decimal, a date and the like travel as an object whose `__class__` names the type; the fields of a related record stand under the
relation's name with a dot at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sync.wire_frames import Rows


def typed(value: Any) -> Any:
    """A value as the server wants it; moments must be aware, and go out as UTC. Raises TypeError for what has no form there."""
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        at = value.astimezone(UTC)
        clock = {"hour": at.hour, "minute": at.minute, "second": at.second, "microsecond": at.microsecond}
        return {"__class__": "datetime", "year": at.year, "month": at.month, "day": at.day, **clock}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, Mapping):
        return {str(name): typed(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [typed(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} has no form in Tryton")


def plain(value: Any) -> Any:
    """A value as everybody writes it: a Decimal's own digits, ISO dates, moments in UTC with a Z, seconds of a duration as text, bytes in
    base64; related records under the relation's name without its dot. What is none of these stays what it is, and is refused later.
    """
    if isinstance(value, dict):
        kind = value.get("__class__")
        if kind is None:
            # a relation asked for both ways stands twice: its fields say more than its number
            members = sorted(value.items(), key=lambda member: member[0].endswith("."))
            return {name.removesuffix("."): plain(item) for name, item in members}
        try:
            return _FORMS[kind](value)
        except (KeyError, TypeError, ValueError, OverflowError):
            return value
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def plain_rows(rows: Rows) -> Rows:
    """The sound records of a page with plain values; broken ones stay set apart."""
    return Rows(list(rows.ordinals), [plain(row) for row in rows.sound], rows.broken, rows.raw)


def kinds_seen(rows: Rows, sample: int = 50) -> dict[str, str]:
    """Field -> kind of its value (text, number, flag, list, object, decimal, date, datetime ...), for schema drift."""
    seen: dict[str, str] = {}
    for row in rows.sound[:sample]:
        for name, value in row.items():
            if seen.get(name, "null") == "null":
                seen[name.removesuffix(".")] = _kind(value)
    return seen


def moment(value: Any) -> datetime | None:
    """The moment of a typed or plain datetime, UTC; None for anything else."""
    text = plain(value)
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) and text.endswith("Z") else None
    except ValueError:
        return None


def _date(value: Mapping[str, Any]) -> str:
    return date(int(value["year"]), int(value["month"]), int(value["day"])).isoformat()


def _datetime(value: Mapping[str, Any]) -> str:
    day = [int(value[part]) for part in ("year", "month", "day")]
    clock = [int(value.get(part) or 0) for part in ("hour", "minute", "second", "microsecond")]
    at = datetime(day[0], day[1], day[2], clock[0], clock[1], clock[2], clock[3], tzinfo=UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def _decimal(value: Mapping[str, Any]) -> str:
    text = value["decimal"]
    if not isinstance(text, str):
        raise TypeError("a Decimal's digits are text")
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) <= 30 else text


def _timedelta(value: Mapping[str, Any]) -> str:
    return str(timedelta(seconds=float(value["seconds"])).total_seconds())


def _time(value: Mapping[str, Any]) -> str:
    return f"{int(value['hour']):02}:{int(value['minute']):02}:{int(value['second']):02}"


def _bytes(value: Mapping[str, Any]) -> str:
    return str(value["base64"])


_FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "Decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
    "timedelta": _timedelta,
    "time": _time,
    "bytes": _bytes,
}


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("__class__", "object")).lower()
    kinds: dict[type, str] = {type(None): "null", bool: "flag", list: "list", int: "number", float: "number"}
    return kinds.get(type(value), "text")

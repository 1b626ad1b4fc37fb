"""In which order a listing is read, and how a record's place in it is said as a condition. Pure.

Places are said by values, never by numbers: a record that changes meanwhile moves, and every number behind it with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec

from sync.systems.sap_s4.odata import Dialect, text
from sync.systems.sap_s4.wire import read_moment
from sync.wire_alike import Records
from sync.wire_frames import Split

Record = Mapping[str, Any]
Values = tuple[str | None, ...]
_STEP = timedelta(milliseconds=1)
_DIGITS = 40
"""To so many digits numbers are padded to be compared: no key is longer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands, as conditions: `onward` finds all of this place and behind it, `alone` all of this place, `beyond` all
    behind it.
    """

    onward: str
    alone: str
    beyond: str


@dataclass(frozen=True, slots=True)
class Level:
    """One step of an order: the properties that are ordered by, and the place that a record has by them; None: it can't say. Of records
    that share a place the next level says which comes first; the last level's places belong to one record each. `names`: the properties
    are part of a record's key.
    """

    fields: tuple[str, ...]
    place: Callable[[Record], Place | None]
    names: bool = True


Order = tuple[Level, ...]


def by(*keys: str) -> Order:
    """In the order of a record's own keys."""
    return tuple(Level((key,), _by_key(key)) for key in keys)


def by_document(*keys: str) -> Order:
    """By company, year and accounting document; within one by `keys`."""
    return (Level(("CompanyCode", "FiscalYear", "AccountingDocument"), _document), *by(*keys))


def by_stamp(stamp: str, dialect: Dialect, *keys: str) -> Order:
    """By a change stamp, and by `keys` where it is the same to the millisecond: hosts order by seven digits, of which JSON has three."""

    def place(record: Record) -> Place | None:
        at = read_moment(record.get(stamp))
        if at is None:
            return None
        from_, to = dialect.moment(at), dialect.moment(at + _STEP)
        return Place(f"{stamp} ge {from_}", f"{stamp} ge {from_} and {stamp} lt {to}", f"{stamp} ge {to}")

    return (Level((stamp,), place, names=False), *by(*keys))


def in_order(split: Split, level: Level, after: Values | None) -> bool:
    """Whether the records of an answer stand in the order that was asked for, and none before `after`, as far as their values tell:
    where they do not, the host does not heed what it is asked. Numbers may have their zeros in front or not.
    """
    found = [row for row in ([after] if after else []) + _values(split, level.fields) if None not in row]
    if found == sorted(found):
        return True
    moments = [at for row in found if len(row) == 1 and (at := read_moment(row[0])) is not None]
    if len(moments) == len(found):
        return moments == sorted(moments)
    padded = [tuple(value.zfill(_DIGITS) if value and value.isdigit() else value for value in row) for row in found]
    return padded == sorted(padded)


def values(record: Record | None, level: Level) -> Values | None:
    """What a record is ordered by; None where it lacks any of it."""
    found = tuple(record.get(field) for field in level.fields) if record else ()
    return found if found and all(isinstance(value, str) for value in found) else None


def keys_of(split: Split, order: Order) -> list[Values]:
    """What tells each record of an answer from all others: the values of its key."""
    return _values(split, tuple(field for level in order if level.names for field in level.fields))


def _by_key(key: str) -> Callable[[Record], Place | None]:
    def place(record: Record) -> Place | None:
        value = record.get(key)
        if not isinstance(value, str) or not value:
            return None
        return Place(f"{key} ge {text(value)}", f"{key} eq {text(value)}", f"{key} gt {text(value)}")

    return place


def _document(record: Record) -> Place | None:
    keys = ("CompanyCode", "FiscalYear", "AccountingDocument")
    if not all(isinstance(record.get(key), str) and record[key] for key in keys):
        return None
    company, year, number = (text(record[key]) for key in keys)

    def behind(sign: str) -> str:
        same_year = f"FiscalYear eq {year} and AccountingDocument {sign} {number}"
        return f"CompanyCode gt {company} or (CompanyCode eq {company} and (FiscalYear gt {year} or ({same_year})))"

    return Place(behind("ge"), f"CompanyCode eq {company} and FiscalYear eq {year} and AccountingDocument eq {number}", behind("gt"))


def _values(split: Split, fields: tuple[str, ...]) -> list[Values]:
    """Of each record the texts of some of its members; None for one that is not there, and for all where one is no text."""
    records = split.records
    decoder, single = _decoders(fields)
    try:
        array = records.array if isinstance(records, Records) else b"[" + b",".join(map(bytes, records)) + b"]"
        return list(map(msgspec.structs.astuple, decoder.decode(array)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [_one(single, bytes(record), len(fields)) for record in records]


def _one(decoder: msgspec.json.Decoder[Any], record: bytes, width: int) -> Values:
    try:
        return msgspec.structs.astuple(decoder.decode(record))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return (None,) * width


@lru_cache(maxsize=64)
def _decoders(fields: tuple[str, ...]) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    names = [f"f{number}" for number in range(len(fields))]
    kind = msgspec.defstruct("Keys", [(name, str | None, None) for name in names], rename=dict(zip(names, fields, strict=True)))
    return msgspec.json.Decoder(list[kind]), msgspec.json.Decoder(kind)  # type: ignore[valid-type]

"""A JSON page into its records: split, every number as its own text, broken records apart. Pure.

Three roads lead in, each for what the one before left in doubt: all records alike (wire_alike), all at once (wire_whole), and
record by record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, DecimalException
from functools import cached_property, lru_cache
from typing import Any, Literal

import msgspec

from sync import wire_alike
from sync.errors import DataError
from sync.strict_json import TwinKey, no_twins
from sync.wire_alike import Alike, Number, Records
from sync.wire_salvage import cut_out, salvage
from sync.wire_whole import whole

_EVIDENCE_CHARS = 2_000
_SAMPLE = 200
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_NONE: Mapping[int, str] = {}


class Split:
    """A page taken apart: `records`, each as its own bytes, and `beside`, the members next to them (count, next link ...)."""

    def __init__(self, records: Sequence[msgspec.Raw | bytes], beside: Mapping[str, Any]) -> None:
        self.records = records
        self.beside = beside


class Rows:
    """The records of a page: `sound` by their ordinals, `broken` ordinal -> why, `raw` every record's bytes.

    `alike`: the records by their members, where all have the same and none is broken; `sound` is then read when it is asked for.
    `reshaped`: path -> ordinals of the records that hold an object or a list there, although one value was asked for; known of what was
    put into a text frame.
    """

    def __init__(
        self,
        ordinals: Sequence[int],
        sound: list[dict[str, Any]] | None,
        broken: Mapping[int, str],
        raw: Sequence[msgspec.Raw | bytes],
        alike: Alike | None = None,
    ) -> None:
        self.ordinals = ordinals
        self.broken = broken
        self.raw = raw
        self.alike = alike
        self.reshaped: dict[str, list[int]] = {}
        self._given = sound

    @cached_property
    def sound(self) -> list[dict[str, Any]]:
        """The sound records as dicts; numbers that are no integers are their exact text."""
        if self._given is not None:
            return self._given
        decoder = msgspec.json.Decoder(list[dict[str, Any]], float_hook=plain)
        return decoder.decode(self.raw.array if isinstance(self.raw, Records) else b"[" + b",".join(self.raw) + b"]")

    @property
    def total(self) -> int:
        """How many records the page held, broken ones included."""
        return len(self.raw) if self.alike is None else self.alike.total

    def members(self) -> set[str]:
        """The names of all members that any sound record has."""
        if self.alike is not None:
            return set(self.alike.names)
        return set().union(*(row.keys() for row in self.sound))


def split(body: bytes, *path: str) -> Split:
    """The records in the array at `path`. A page that is no JSON, or lacks the array, raises DataError `file_unreadable`.

    A page that is JSON but for a NaN or an Infinity is still taken apart, so that only the record that holds it is lost.
    """
    try:
        members = _members(body, path[:-1])
        array = bytes(members[path[-1]])
        if not array.startswith(b"["):
            raise msgspec.ValidationError("expected an array")
        return Split(Records(array), _beside(members, path[-1]))
    except KeyError as error:
        raise DataError(
            f"the page has no member {error}: expected its records at {'.'.join(path)}",
            cause="file_unreadable", evidence={"begins": excerpt(body)},
        ) from error  # fmt: skip
    except RecursionError as error:
        raise DataError(
            "the page is nested deeper than any record is", cause="file_unreadable", evidence={"begins": excerpt(body)}
        ) from error
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        salvaged = salvage(body, path)
        if salvaged is None:
            raise DataError(
                f"the page is no JSON with records at {'.'.join(path)}: {error}",
                cause="file_unreadable", evidence={"begins": excerpt(body)},
            ) from error  # fmt: skip
        return Split(*salvaged)


def member(body: bytes, name: str) -> bytes | None:
    """The bytes of a member of a JSON object, also where another member is none but for a NaN; None where it is not there.

    Raises DataError `file_unreadable` when the body is no object.
    """
    try:
        found = _OBJECT.decode(body).get(name)
        return None if found is None else bytes(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            return cut_out(body, name)
        except (ValueError, IndexError, RecursionError):
            raise DataError(f"the page is no JSON: {error}", cause="file_unreadable", evidence={"begins": excerpt(body)}) from error


def _beside(members: Mapping[str, msgspec.Raw], records: str) -> dict[str, Any]:
    """What stands beside the records; what can't be read of it is not there."""
    beside = {}
    for key, value in members.items():
        if key != records:
            with suppress(msgspec.DecodeError, DecimalException):
                beside[key] = _EXACT.decode(value)
    return beside


def _members(body: bytes, path: tuple[str, ...]) -> Mapping[str, msgspec.Raw]:
    """The members of the object at `path`, found in one go; step by step where it is not there, to say which step leads nowhere."""
    try:
        found = _envelope(path).decode(body)
        for _ in path:
            found = found.inner
        members: dict[str, msgspec.Raw] = found
    except msgspec.ValidationError:
        members = _OBJECT.decode(body)
        for step in path:
            members = _OBJECT.decode(members[step])
    return members


@lru_cache(maxsize=64)
def _envelope(path: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    kind: Any = dict[str, msgspec.Raw]
    for step in reversed(path):
        kind = msgspec.defstruct("Envelope", [("inner", kind)], rename={"inner": step})
    return msgspec.json.Decoder(kind)


def decode(records: Sequence[msgspec.Raw | bytes]) -> Rows:
    """Every record as a dict whose non-integer numbers are their exact text; those that can't be believed are set apart.

    Broken: no JSON object, NaN, bytes that are no UTF-8, a NUL character, a key that stands twice in one object.
    """
    if isinstance(records, Records) and (alike := wire_alike.read(records.array, _number)) is not None:
        return Rows(range(alike.total), None, _NONE, records, alike)
    decoder = msgspec.json.Decoder(float_hook=plain)
    undoubted = whole(records, decoder)
    if undoubted is not None:
        return Rows(list(range(len(records))), undoubted, {}, records)
    ordinals: list[int] = []
    sound: list[dict[str, Any]] = []
    broken: dict[int, str] = {}
    for ordinal, record in enumerate(records):
        raw = bytes(record)
        try:
            row = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            broken[ordinal] = f"the record is no strict JSON: {error}"
            continue
        why = _objection(raw, row)
        if why is None:
            ordinals.append(ordinal)
            sound.append(row)
        else:
            broken[ordinal] = why
    return Rows(ordinals, sound, broken, records)


def fields_seen(rows: Rows) -> dict[str, str]:
    """Field -> kind (text, number, flag, object, list, null), for schema drift; over a sample of a page whose records differ."""
    if rows.alike is not None:
        return {name: _kind(rows.alike.first(name)) for name in rows.alike.names}
    kinds: dict[str, str] = {}
    step = max(1, len(rows.ordinals) // _SAMPLE)
    for ordinal in rows.ordinals[::step][:_SAMPLE]:
        for name, value in _EXACT.decode(bytes(rows.raw[ordinal])).items():
            if kinds.get(name, "null") == "null":
                kinds[name] = _kind(value)
    return kinds


def _objection(raw: bytes, row: object) -> str | None:
    if not isinstance(row, dict):
        return "the record is no JSON object"
    if b"\\u0000" in raw:
        return "the record holds a NUL character"
    # A closing quote followed by a colon ends a key, or is an escaped quote in a text: more of them than keys is a suspicion
    # only, which a strict reading then confirms or clears. Counting keeps the usual record off the slow road.
    if raw.count(b'":') == _keys(row) and not (b'" ' in raw or b'"\n' in raw or b'"\r' in raw or b'"\t' in raw):
        return None
    try:
        json.loads(raw, object_pairs_hook=no_twins)
    except TwinKey as twin:
        return str(twin)
    return None


def _keys(value: dict[str, Any]) -> int:
    count = len(value)
    for item in value.values():
        if type(item) is dict:
            count += _keys(item)
        elif type(item) is list:
            count += _keys_in(item)
    return count


def _keys_in(items: list[Any]) -> int:
    return sum(_keys(item) if type(item) is dict else _keys_in(item) if type(item) is list else 0 for item in items)


def plain(number: str) -> str:
    """A JSON number's text without an exponent ('1.0E7' is '10000000'); one beyond any amount stays as it is, and is refused later."""
    if "e" not in number and "E" not in number:
        return number
    value = Decimal(number)
    return format(value, "f") if abs(value.adjusted()) <= 30 else number


def _number(number: str) -> Number:
    return Number(plain(number))


def _kind(value: object) -> Literal["text", "number", "flag", "object", "list", "null"]:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, str):
        return "number" if isinstance(value, Number) else "text"
    if isinstance(value, dict | msgspec.Struct):
        return "object"
    return "list" if isinstance(value, list) else "number"


def excerpt(body: bytes) -> str:
    """The beginning of some bytes as text, for evidence."""
    return body[:_EVIDENCE_CHARS].decode("utf-8", "replace").replace("\x00", "\ufffd")

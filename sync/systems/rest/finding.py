"""The records of an answer: in an array at the end of names, in an object under their keys, or in lists within records. Pure."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from sync.errors import DataError
from sync.strict_json import loosely
from sync.systems.rest.paths import Each, Found
from sync.wire_frames import Rows, decode, fields_seen, split
from sync.wire_rows import excerpt

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = b'{"records":'
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_NUMBERS = msgspec.json.Encoder(decimal_format="number")
_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """What an answer holds. `outer`: the records of the list that is paged; `found`: those that are wanted, the same or further in, by
    their ordinals; `broken`: (ordinal, text, why) of those that can't be believed; `childless`: outer ones that hold none.
    """

    outer: Rows
    ordinals: Sequence[int]
    found: Sequence[Found]
    broken: Sequence[tuple[int, str, str]]
    childless: Sequence[Found] = ()
    seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many records are wanted, broken ones included."""
        return len(self.found) + len(self.broken)


def listed(body: bytes, way: tuple[str | Each, ...], *, lacking: bool, single: bool, root: bool) -> Listed:
    """The records of a body at `way`. `lacking`: where they are not, or null, there are none; `single`: there stands one record, and no list
    of them; `root`: columns read from the body around them. Raises DataError when the body does not hold what it should.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    first = next(place for place, step in enumerate(way) if isinstance(step, Each))
    names = tuple(str(name) for name in way[:first])
    keys: Sequence[str] | None = None
    if not body.strip() or (lacking and _lacks(body, names)):
        outer = decode(())
    elif single:
        outer = decode([_raw_at(body, names)])
    elif way[first] is Each.MEMBER:
        keys, raws = _members(body, names)
        outer = decode(raws)
    elif names:
        outer = decode(split(body, *names).records)
    else:
        outer = decode(_top(body))
    above = Found(loosely(body)) if root else None
    records = [Found(each, above, keys[n] if keys else None, n) for n, each in zip(outer.ordinals, outer.sound, strict=True)]
    texts = [(ordinal, bytes(outer.raw[ordinal]).decode("utf-8", "replace"), why) for ordinal, why in sorted(outer.broken.items())]
    if first == len(way) - 1:
        return Listed(outer, outer.ordinals, records, texts, seen=fields_seen(outer))
    return _within(outer, records, {place: (text, why) for place, text, why in texts}, way[first + 1 :])


def _within(outer: Rows, records: list[Found], broken: Mapping[int, tuple[str, str]], way: tuple[str | Each, ...]) -> Listed:
    """The records that stand in those of the list, one after the other; one that is broken counts as one."""
    ordinals: list[int] = []
    found: list[Found] = []
    bad: list[tuple[int, str, str]] = []
    childless: list[Found] = []
    places = dict(zip(outer.ordinals, records, strict=True))
    number = 0
    for ordinal in range(outer.total):
        inner: list[Found | tuple[str, str]] = [broken[ordinal]] if ordinal in broken else list(_inner(places[ordinal], way))
        if not inner:
            childless.append(_nobody(places[ordinal], way))
        for each in inner:
            if isinstance(each, Found):
                ordinals.append(number)
                found.append(each)
            else:
                bad.append((number, *each))
            number += 1
    return Listed(outer, ordinals, found, bad, childless, _kinds(outer, way))


def _nobody(record: Found, way: tuple[str | Each, ...]) -> Found:
    """What stands in a record that holds none, so that what is above can be read of it."""
    found = record
    for step in way:
        found = Found({}, found) if isinstance(step, Each) else found
    return found


def _inner(record: Found, way: tuple[str | Each, ...]) -> Iterator[Found | tuple[str, str]]:
    """What a record holds at `way`: records, or (text, why) of what is none."""
    end = next(place for place, step in enumerate(way) if isinstance(step, Each))
    value = record.value
    for name in way[:end]:
        value = value.get(str(name)) if isinstance(value, dict) else None
    if value is None:
        return
    where = ".".join(str(name) for name in way[:end])
    wanted = list if way[end] is Each.ITEM else dict
    if not isinstance(value, wanted):
        yield _text(value), f"{where} is no {'list' if wanted is list else 'object'}"
        return
    items = enumerate(value.values()) if isinstance(value, dict) else enumerate(value)
    names = list(value) if isinstance(value, dict) else None
    for place, item in items:
        if not isinstance(item, dict):
            yield _text(item), f"what stands in {where} is no JSON object"
            continue
        here = Found(item, record, names[place] if names else None, place)
        if end == len(way) - 1:
            yield here
        else:
            yield from _inner(here, way[end + 1 :])


def _text(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _top(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The records of a body that is itself the list."""
    try:
        return split(_ARRAY + body + b"}", "records").records
    except DataError as error:
        kind = "an object" if body.lstrip()[:1] == b"{" else "no JSON, or cut"
        raise _refused(body, f"the body is no list of records, but {kind}") from error


def _lacks(body: bytes, names: tuple[str, ...]) -> bool:
    """Whether the body is sound, and nothing stands at the end of `names`."""
    try:
        value = msgspec.json.decode(body, type=msgspec.Raw)
        for name in names:
            if value == b"null":
                return True
            member = _OBJECT.decode(value).get(name)
            if member is None:
                return True
            value = member
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return False
    return bytes(value).strip() == b"null"


def _raw_at(body: bytes, names: tuple[str, ...]) -> msgspec.Raw:
    try:
        value = msgspec.json.decode(body, type=msgspec.Raw)
        for name in names:
            value = _OBJECT.decode(value)[name]
    except KeyError as error:
        raise _refused(body, f"the page has no member {error}: expected its record at {'.'.join(names)}") from error
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(body, f"the page is no JSON with a record at {'.'.join(names) or 'its top'}: {error}") from error
    return value


def _members(body: bytes, names: tuple[str, ...]) -> tuple[list[str], list[msgspec.Raw]]:
    """The members of the object at the end of `names`: their names, and what stands there."""
    holder = _raw_at(body, names)
    where = ".".join(names) or "its top"
    try:
        members = _OBJECT.decode(holder)
        pairs = json.loads(bytes(holder), object_pairs_hook=list, parse_constant=lambda _: None)
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        raise _refused(body, f"expected an object of records at {where}: {error}") from error
    if len(pairs) != len(members):
        raise _refused(body, f"a key stands twice in the object of records at {where}")
    return list(members), list(members.values())


def _refused(body: bytes, words: str) -> DataError:
    return DataError(words, cause="file_unreadable", evidence={"begins": excerpt(body)})


def _kinds(outer: Rows, way: tuple[str | Each, ...]) -> dict[str, str]:
    """Member -> kind, over the records in the first ones of the list; numbers are told from texts."""
    some = [Found(_EXACT.decode(bytes(outer.raw[ordinal]))) for ordinal in outer.ordinals[:_SAMPLE]]
    inner = [each.value for one in some for each in _inner(one, way) if isinstance(each, Found)]
    return fields_seen(decode([_NUMBERS.encode(value) for value in inner]))

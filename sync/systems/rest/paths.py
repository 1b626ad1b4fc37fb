"""Paths into JSON values: `customer.id`, `lines[0].sku`, `["odd.name"]`, `links[rel=next].href`. Pure.

A column's path may begin with `^`, once for each level that it goes up from its record: `^.number` is the number of the invoice of which the
record is a line. `@key` is the name under which a record stands in an object, `@index` its place in its list, from 0. The path to a list's
records may go through lists and objects: `invoices[*].lines[*]`, `result.*`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""(?P<dot>\.)?(?:
        (?P<name>[^.\[\]="'\s][^.\[\]="']*) |
        \[(?P<index>-?\d+)\] |
        \[(?P<each>\*)\] |
        \[(?P<quote>["'])(?P<quoted>.*?)(?P=quote)\] |
        \[(?P<key>[^=\[\]]+)=(?P<value>[^\[\]]*)\]
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Match:
    """The first object of a list whose member `key` is `value`."""

    key: str
    value: str


class Each(Enum):
    """Every item of a list, or every member of an object."""

    ITEM = "[*]"
    MEMBER = "*"


Step = str | int | Match


@dataclass(frozen=True, slots=True)
class Where:
    """Where a column stands, seen from its record: so many levels `up`, there at `steps`, or its `special` (@key, @index)."""

    up: int
    special: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A record where it was found: `above` is the record or the body that it stands in, `key` the name and `place` the number it has there."""

    value: Any
    above: Found | None = None
    key: str | None = None
    place: int | None = None

    def at(self, path: str) -> Any:
        """What stands at a column's path; None where there is nothing."""
        wanted = where(path)
        found: Found | None = self
        for _ in range(wanted.up):
            found = None if found is None else found.above
        if found is None:
            return None
        if wanted.special is not None:
            return found.key if wanted.special == "@key" else found.place
        return _follow(found.value, wanted.steps)


_UP = re.compile(r"(?P<up>\^*)\.?(?P<rest>.*)", re.DOTALL)
_SPECIAL = ("@key", "@index")


@lru_cache(maxsize=1024)
def where(path: str) -> Where:
    """A column's path. ValueError says at which place it can't be read."""
    found = _UP.fullmatch(path) if path.startswith("^") else None
    up, rest = (len(found["up"]), found["rest"]) if found else (0, path)
    if rest in _SPECIAL:
        return Where(up, rest, ())
    return Where(up, None, steps(rest))


@lru_cache(maxsize=1024)
def list_steps(path: str) -> tuple[str | Each, ...]:
    """The steps to a list's records; the last one is Each. ValueError for a path that is none."""
    found: list[str | Each] = []
    for step in _read(path):
        if not isinstance(step, str | Each):
            raise ValueError(  # noqa: TRY004 - a validator's word
                f"the path {path!r} leads to one record only: it may hold names, [*] for every item of a list, * for every member of an object"
            )
        found.append(Each.MEMBER if step == "*" else step)
    return tuple(found) if found and isinstance(found[-1], Each) else (*found, Each.ITEM)


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path; none for the empty path, which is the value itself. ValueError says at which place it can't be read."""
    found = _read(path)
    if any(isinstance(step, Each) for step in found):
        raise ValueError(f"the path {path!r} leads to many values: [*] belongs into `records`, a column is one value")
    return tuple(step for step in found if not isinstance(step, Each))


def _read(path: str) -> tuple[Step | Each, ...]:
    found: list[Step | Each] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        dotted = step is not None and step["dot"] is not None
        if step is None or dotted != bool(at and step["name"]):
            raise ValueError(
                f'the path {path!r} can\'t be read from {path[at:]!r} on: write names with dots, [0], ["a name"] or [key=value]'
            )
        if step["name"] is not None:
            found.append(step["name"])
        elif step["index"] is not None:
            found.append(int(step["index"]))
        elif step["each"] is not None:
            found.append(Each.ITEM)
        elif step["quoted"] is not None:
            found.append(step["quoted"])
        else:
            found.append(Match(step["key"].strip(), step["value"].strip("\"' ")))
        at = step.end()
    return tuple(found)


def at(value: Any, path: str) -> Any:
    """What stands at a path; None where there is nothing."""
    return _follow(value, steps(path))


def _follow(value: Any, way: tuple[Step, ...]) -> Any:
    for step in way:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = _matching(value, step)
        if value is None:
            return None
    return value


def put(value: Any, path: str, new: Any) -> Any:
    """`value` with `new` at a path; objects on the way are made where there are none. ValueError where the path leads into nothing else."""
    return _put(value, steps(path), new, path)


def _put(value: Any, way: tuple[Step, ...], new: Any, path: str) -> Any:
    if not way:
        return new
    step, rest = way[0], way[1:]
    if isinstance(step, str) and (value is None or isinstance(value, dict)):
        held = value or {}
        return {**held, step: _put(held.get(step), rest, new, path)}
    if isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
        return [_put(item, rest, new, path) if place == step % len(value) else item for place, item in enumerate(value)]
    if isinstance(step, Match) and (found := _matching(value, step)) is not None:
        return [_put(item, rest, new, path) if item is found else item for item in value]
    raise ValueError(f"the path {path!r} leads to nothing in the body")


def _matching(value: Any, match: Match) -> Any:
    items = value if isinstance(value, list) else []
    return next((item for item in items if isinstance(item, dict) and str(item.get(match.key)) == match.value), None)

"""Paths into JSON values: `customer.id`, `lines[0].sku`, `["odd.name"]`, `links[rel=next].href`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""(?P<dot>\.)?(?:
        (?P<name>[^.\[\]="'\s][^.\[\]="']*) |
        \[(?P<index>-?\d+)\] |
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


Step = str | int | Match


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path; none for the empty path, which is the value itself. ValueError says at which place it can't be read."""
    found: list[Step] = []
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
        elif step["quoted"] is not None:
            found.append(step["quoted"])
        else:
            found.append(Match(step["key"].strip(), step["value"].strip("\"' ")))
        at = step.end()
    return tuple(found)


def at(value: Any, path: str) -> Any:
    """What stands at a path; None where there is nothing."""
    for step in steps(path):
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = _matching(value, step)
        if value is None:
            return None
    return value


def members(path: str) -> tuple[str, ...]:
    """The steps of a path that leads through names only. ValueError for any other."""
    names = steps(path)
    if not all(isinstance(step, str) for step in names):
        raise ValueError(f"the path {path!r} has to lead through names only")
    return tuple(str(step) for step in names)


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

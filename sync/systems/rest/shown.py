"""What an answer holds, for a person who writes a declaration: its values by the paths that a column would have, its lists by their `records`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sync.strict_json import loosely
from sync.systems.rest.paths import Each, Found, steps

_PLAIN = re.compile(r"[^.\[\]=\"'\s^@*][^.\[\]=\"']*")
_DEPTH = 6
_LISTS_MAX = 12
_BESIDE_MAX = 20
_SHOWN = 80


def leaves(record: Found) -> Iterator[tuple[str, Any]]:
    """(path, value) of every single value of a record; of a list its first item stands for all."""
    if record.key is not None:
        yield "@key", record.key
    yield from _leaves("", record.value, 0)


def above(record: Found) -> Iterator[tuple[str, Any]]:
    """As `leaves`, of what a record stands in, with ^ for each level up."""
    holder, up = record.above, "^"
    while holder is not None:
        for path, value in leaves(holder):
            yield f"{up}.{path}", value
        holder, up = holder.above, f"{up}^"


def beside(body: bytes, way: tuple[str | Each, ...]) -> list[str]:
    """What stands in an answer beside its records, each as a path of paging would name it, with its value."""
    value = loosely(body)
    names = [str(step) for step in way[: next(place for place, step in enumerate(way) if isinstance(step, Each))]]
    found = list(_leaves("", _without(value, names), 0)) if isinstance(value, dict) and names else []
    return [f"{path} {shown(item)}" for path, item in found if path][:_BESIDE_MAX]


def stands(body: bytes, path: str) -> bool:
    """Whether anything is called so in an answer, be it null."""
    value, way = loosely(body), steps(path)
    last = way[-1]
    for step in way[:-1]:
        value = value.get(step) if isinstance(value, dict) and isinstance(step, str) else None
    return isinstance(value, dict) and last in value if isinstance(last, str) else True


def _without(value: Any, names: list[str]) -> Any:
    if not isinstance(value, dict) or not names:
        return value
    rest = {name: item for name, item in value.items() if name != names[0]}
    inner = value.get(names[0])
    return {**rest, names[0]: _without(inner, names[1:])} if len(names) > 1 and isinstance(inner, dict) else rest


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < _DEPTH and value:
        for name, item in value.items():
            yield from _leaves(joined(path, name), item, depth + 1)
    elif isinstance(value, list) and depth < _DEPTH and value:
        yield from _leaves(f"{path}[0]", value[0], depth + 1)
    else:
        yield path, value


def joined(path: str, name: str) -> str:
    """The path to a member of what stands at `path`."""
    if _PLAIN.fullmatch(name):
        return f"{path}.{name}" if path else name
    quote = "'" if '"' in name else '"'
    return f"{path}[{quote}{name}{quote}]"


def lists(body: bytes) -> list[str]:
    """Where an answer holds lists, or objects that may be records under their keys, each as `records` would name it, with what stands there."""
    value = loosely(body)
    if value is None:
        return [f"no JSON: {' '.join(body[:200].decode('utf-8', 'replace').split())}"] if body.strip() else []
    return [f"{path or 'at its top'} ({words})" for path, words in _lists("", value, 0)][:_LISTS_MAX]


def _lists(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        yield path, f"a list of {len(value)}"
        if value and isinstance(value[0], dict):
            yield from _inner(f"{path}[*]", value[0], depth)
    elif isinstance(value, dict) and depth < _DEPTH:
        if len(value) > 1 and all(isinstance(item, dict) for item in value.values()):
            yield joined_star(path), f"an object of {len(value)} objects"
        yield from _inner(path, value, depth)
    elif depth == 0:
        yield path, shown(value)


def _inner(path: str, value: dict[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        if isinstance(item, list | dict):
            yield from _lists(joined(path, name), item, depth + 1)
        elif "[*]" not in path:
            yield joined(path, name), shown(item)


def joined_star(path: str) -> str:
    """The path to every member of the object at `path`."""
    return f"{path}.*" if path else "*"


def shown(value: Any) -> str:
    """A value as JSON, with its kind, short."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    kind = "nothing" if value is None else {bool: "flag", str: "text", dict: "object", list: "list"}.get(type(value), "number")
    return f"{kind} {text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'}" if value is not None else kind

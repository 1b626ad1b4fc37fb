"""JSON answers whose fields are not what was agreed: taken apart, changed, and put together again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

Path = tuple[str, ...]
"""The names of fields from the outermost inwards; `EACH` stands for every element of a list."""

EACH = "*"
EVERYWHERE = ("gone", "null", "object", "word")
"""What can become of any field: not there, nothing, of another shape, another text."""

ONCE = ("list", "flag", "huge", "long", "nan", "endless", "nul", "twin")
"""What is the same for every field of a type: a list, another type, numbers beyond any that we hold, and what no strict JSON may hold."""

NAMELESS = ("flag", "word", "huge", "long")
"""Changes after which a name is another name, and a text another text."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:Z|[+-]\d\d:?\d\d)")
_TICKS = re.compile(r"(/Date\(-?\d+)[+-]\d{4}\)/")
_TOKENS = {"nan": "NaN", "huge": "1e400", "long": "9" * 60, "endless": "9" * 5000}
_TWIN = "\u2021twin"


def records(body: bytes) -> list[Any] | None:
    """The records of an answer: the elements of its outermost list of objects, or itself where it has no list; None where it is no JSON."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return _records(value)


def paths(value: Any) -> dict[Path, Any]:
    """Every path at which an object within `value` has a field, with the first value that stands there."""
    found: dict[Path, Any] = {}
    for path, holder, name in _fields(value, ()):
        found.setdefault(path, holder[name])
    return found


def beside(body: bytes) -> list[Path]:
    """The paths of the fields that stand around the records, outermost first."""
    value = json.loads(body)
    return [] if _records(value) == [value] else [path for path in paths(value) if EACH not in path]


def alter_records(body: bytes, changes: Callable[[dict[str, Any]], Iterable[tuple[Path, str]]]) -> bytes:
    """The answer, each of whose records has undergone what `changes` names for it."""
    value = json.loads(body)
    for record in _records(value) or ():
        for path, how in changes(record):
            _apply(record, path, how)
    return _written(value)


def alter_beside(body: bytes, path: Path, how: str) -> bytes:
    """The answer, of which the field at `path` has undergone a change."""
    value = json.loads(body)
    _apply(value, path, how)
    return _written(value)


def _records(value: Any) -> list[Any] | None:
    lists = [held for held in _lists(value) if held and all(isinstance(each, dict) for each in held)]
    return lists[0] if lists else [value] if isinstance(value, dict) and not any(_lists(value)) else None


def naive(moment: str) -> str:
    """The moment as the same digits without their zone."""
    found = _MOMENT.fullmatch(moment) or _TICKS.fullmatch(moment)
    return moment if found is None else found[1] + (")/" if moment.endswith("/") else "")


def elsewhere(moment: str) -> str:
    """The moment as a clock shows it that is three and a half hours behind."""
    if found := _TICKS.fullmatch(moment):  # OData's ticks are those of that clock, its offset is in minutes
        return f"/Date({int(found[1].removeprefix('/Date(')) - 210 * 60_000}-0210)/"
    if _MOMENT.fullmatch(moment) is None:
        return moment
    at = datetime.fromisoformat(moment).astimezone(timezone(-timedelta(hours=3, minutes=30)))
    return at.isoformat(timespec="milliseconds")


def moments(value: Any, said: Callable[[str], str]) -> Any:
    """A JSON value with every moment as `said` says it: ISO 8601 with a zone, or OData's ticks with one."""
    if isinstance(value, dict):
        return {name: moments(each, said) for name, each in value.items()}
    if isinstance(value, list):
        return [moments(each, said) for each in value]
    return said(value) if isinstance(value, str) else value


def rewritten(body: bytes, which: Callable[[dict[str, Any]], bool], said: Callable[[str], str]) -> bytes:
    """The answer, of whose records those of `which` have their moments as `said` says them."""
    value = json.loads(body)
    for record in _records(value) or ():
        if which(record):
            record.update(moments(record, said))
    return json.dumps(value).encode()


def _lists(value: Any) -> Iterator[list[Any]]:
    """Every list, the outermost first."""
    level = [value]
    while level:
        yield from (each for each in level if isinstance(each, list))
        level = [inner for each in level if isinstance(each, dict | list) for inner in (each.values() if isinstance(each, dict) else each)]


def _fields(value: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """(path, the object, the field's name), outermost first."""
    if isinstance(value, list):
        for each in value:
            yield from _fields(each, (*path, EACH))
    elif isinstance(value, dict):
        for name in list(value):
            yield (*path, name), value, name
        for name in list(value):
            yield from _fields(value[name], (*path, name))


def _apply(value: Any, path: Path, how: str) -> None:
    for found, holder, name in list(_fields(value, ())):
        if found == path:
            _change(holder, name, how)


def _change(holder: dict[str, Any], name: str, how: str) -> None:
    was = holder[name]
    if how == "gone":
        del holder[name]
    elif how == "added":
        holder[f"{name}_of_the_next_release"] = {"was": [was]}
    elif how == "twin":
        held = {key: holder.pop(key) for key in list(holder)}
        for key, value in held.items():
            if key == name:
                holder[key + _TWIN] = 1 if isinstance(was, str) else "x"
            holder[key] = value
    else:
        plain = {"null": None, "object": {"was": was}, "list": [was, was], "word": "n/a", "flag": True, "nul": "a\x00b"}
        holder[name] = plain[how] if how in plain else _token(how)


def _token(name: str) -> str:
    return f"@@{name}@@"


def _written(value: Any) -> bytes:
    text = json.dumps(value)
    for token, literal in _TOKENS.items():
        text = text.replace(f'"{_token(token)}"', literal)
    return text.replace(json.dumps(_TWIN)[1:-1], "").encode()

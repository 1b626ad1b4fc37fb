"""What is wrong in a configuration, in words: the key as it is written there, what is the matter with it, and what could stand there. Pure."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_NAMES = ("stream", "entity", "name", "code")
_SHOWN = 60
_TABLE = re.compile(r"a valid dictionary( or instance of \w+)?")


def complaints(error: ValidationError, model: type[BaseModel], given: Any) -> list[str]:
    """One line for each mistake in `given`, which `model` refused: `streams.invoices.paging.sise: not known here ...`."""
    details = error.errors(include_url=False)
    # a list of which an entry is wrong is told to be too short as well
    deeper = [one for one in details if not (one["type"] == "too_short" and any(_within(other, one) for other in details))]
    return [": ".join(part for part in _line(one, model, given) if part) for one in deeper]


def _within(other: ErrorDetails, one: ErrorDetails) -> bool:
    place = one["loc"]
    return len(other["loc"]) > len(place) and other["loc"][: len(place)] == place


def _line(detail: ErrorDetails, model: type[BaseModel], given: Any) -> tuple[str, str]:
    place, known = _place(detail["loc"], model, given)
    return ".".join(place), _words(detail, place[-1] if place else "", known)


def _words(detail: ErrorDetails, key: str, known: Sequence[str]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    which = str(context.get("discriminator", "")).strip("'")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(key, known, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return f"not known here{meant or ';'} known: {', '.join(known)}" if known else f"not known here{meant}"
    if kind == "missing":
        return "needed, and not there"
    if kind == "union_tag_invalid":
        return f"{which} {context['tag']!r} is not known; known: {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{which} is needed, to say which kind it is"
    words = detail["msg"].removeprefix("Value error, ").replace("Input should be", "should be", 1)
    words = _TABLE.sub("a table", words)
    shown = repr(detail["input"])
    return words if kind == "value_error" or len(shown) > _SHOWN else f"{words}, and is {shown}"


def _place(location: tuple[int | str, ...], model: type[BaseModel], given: Any) -> tuple[list[str], list[str]]:
    """(the keys as a person wrote them, the keys that are known where the last one stands)."""
    place: list[str] = []
    at: Any = given
    kinds: list[Any] = [model]
    known: list[str] = []
    for part in location:
        models = [kind for kind in _flat(kinds) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        tagged = [kind for kind in models if part in _tags(kind)]
        if tagged and len(models) > 1:
            kinds = tagged  # the name of an arm, which nobody wrote
            continue
        known = sorted({name for kind in models for name in _names(kind)})
        if isinstance(part, int):
            at = at[part] if isinstance(at, Sequence) and not isinstance(at, str) and part < len(at) else None
            place.append(_name_of(at, part))
            kinds = [_inner(kind) for kind in _flat(kinds)]
            continue
        place.append(part)
        at = at.get(part) if isinstance(at, Mapping) else None
        kinds = [kind.model_fields[name].annotation for kind in models for name in kind.model_fields if _alias(kind, name) == part] or [
            _inner(kind) for kind in _flat(kinds)
        ]
    return place, known


def _names(model: type[BaseModel]) -> list[str]:
    return [_alias(model, name) for name in model.model_fields]


def _alias(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _tags(model: type[BaseModel]) -> set[Any]:
    """The texts that say that a table is of this model, where it is one arm of several."""
    return {
        value for field in model.model_fields.values() if get_origin(field.annotation) is Literal for value in get_args(field.annotation)
    }


def _flat(kinds: Sequence[Any]) -> Iterator[Any]:
    """The arms of unions, without what annotates them."""
    for kind in kinds:
        if get_origin(kind) is Annotated:
            yield from _flat(get_args(kind)[:1])
        elif get_origin(kind) in (Union, types.UnionType):
            yield from _flat(get_args(kind))
        else:
            yield kind


def _inner(kind: Any) -> Any:
    """What a list or a table of `kind` holds."""
    arguments = [one for one in get_args(kind) if one is not Ellipsis]
    return arguments[-1] if arguments and get_origin(kind) is not Literal else Any


def _name_of(value: Any, place: int) -> str:
    """An entry of a list by its own name, else by its number, from 1."""
    names = [value[name] for name in _NAMES if isinstance(value, Mapping) and isinstance(value.get(name), str)]
    return names[0] if names else f"{place + 1}"

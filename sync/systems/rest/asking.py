"""What is asked for: the path, parameters, headers and body of a declared list, with what the page and the moment say in their places. Pure.

`{since}`, `{until}`, `{page}`, `{offset}`, `{cursor}`, `{size}` and `{secret:NAME}` may stand in the path, a parameter, a header or the body.
What holds a place for which nothing is known yet (no moment before the first pull, no cursor before the first page) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sync.systems.rest.paths import put

if TYPE_CHECKING:
    from sync.systems.rest.declaration import RestStream

Param = str | int
"""What is sent for a page: in a query as text, in the body of a search as what it is."""
ROLES = ("since", "until", "page", "offset", "cursor", "size")
_PLACE = re.compile(r"\{(?:(?P<role>since|until|page|offset|cursor|size)(?:\|(?P<how>doubled|escaped))?|secret:(?P<secret>[a-z0-9_]+))\}")
_ANY = re.compile(r"(?<!\$)\{[a-z_]+(?:[:|][a-z_0-9]+)?\}")


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it is sent. `search`: what is sent as JSON by POST; None: nothing, by GET."""

    path: str
    params: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    search: Any = field(default=None, repr=False)


class _Unknown(LookupError):
    """A place for which nothing is known yet."""


def question(stream: RestStream, values: Mapping[str, Param], secret: Callable[[str], str], path: str | None = None) -> Question:
    """The request for a page: `values` by role, those of the moment as they are sent. `path`: where it is asked for, if not at the list's own."""
    fill = _Fill(values, secret)
    named = roles(stream)
    told = {param: values[role] for role, param in params(stream) if role in values and role not in named}
    where = fill.text(stream.path if path is None else path)  # its places are always known, as `check` sees to it
    query = fill.members(stream.params)
    headers = {name: str(value) for name, value in fill.members(stream.headers).items()}
    if stream.method == "GET":
        return Question(where, {name: str(value) for name, value in {**query, **told}.items()}, headers)
    search: Any = {} if path is not None else fill.value(stream.body)
    for name, value in told.items():
        search = put(search, name, value)
    return Question(where, {name: str(value) for name, value in query.items()}, headers, search)


def again(stream: RestStream, url: str, values: Mapping[str, Param], secret: Callable[[str], str]) -> Question:
    """The request for a page at an address that the application named: its query is the application's, headers and body are ours."""
    first = question(stream, {role: values[role] for role in values if role in ("since", "until", "size")}, secret)
    return Question(url, {}, first.headers, first.search)


def roles(stream: RestStream) -> frozenset[str]:
    """The roles that have a place of their own in path, parameters, headers or body."""
    return frozenset(found["role"] for text in _texts(stream) for found in _PLACE.finditer(text) if found["role"])


def check(stream: RestStream) -> None:
    """ValueError when places, paging and incremental don't go together; in words that say what to write."""
    named, incremental, paging = roles(stream), stream.incremental, stream.paging
    for text in (stream.path, *stream.params.values(), *stream.headers.values()):
        for strange in (one for one in _ANY.findall(text) if not _PLACE.fullmatch(one)):
            raise ValueError(f"{strange} is not known: write {', '.join('{' + role + '}' for role in ROLES)} or {{secret:NAME}}")
    for role in named & {"page", "offset", "cursor"}:
        if role != paging.role:
            raise ValueError(f"{{{role}}} stands in the request, but paging of style {paging.style} has no {role}")
    for role in named & {"since", "until"} if incremental is None else ():
        raise ValueError(f"{{{role}}} stands in the request, but no incremental says what moment that is")
    if incremental is not None:
        if incremental.param is None and "since" not in named and not incremental.newest_first:
            raise ValueError(
                'incremental: say where the moment goes: param = "updated_since", or {since} in params, headers, path or body;'
                " or newest_first = true for a list that is read until it is known"
            )
        if incremental.window_days is not None and incremental.until_param is None and "until" not in named:
            raise ValueError("incremental: window_days needs until_param, or {until} in the request, for the end of the window")
    if "{cursor" in stream.path:
        raise ValueError("{cursor} can't stand in the path: the first page has none; paging.next_path is for the pages after it")
    listed = [stream.path, *_in_lists(stream.body)]
    if any("{cursor" in text for text in listed):
        raise ValueError("{cursor} can't stand in a list of the body: the first page has none")
    if any("{since" in text for text in listed) and (incremental is None or incremental.initial is None):
        raise ValueError(
            "incremental: with {since} in the path, or in a list of the body, give initial, which stands there on the first pull"
        )
    if getattr(paging, "most", None) is not None and (incremental is None or not incremental.ordered):
        raise ValueError("paging: most needs incremental with ordered = true: the list is gone on with from the newest moment read")
    if stream.method == "POST":
        filled: Any = stream.body
        for role, param in params(stream):
            filled = filled if role in named else put(filled, param, "")


def params(stream: RestStream) -> Iterator[tuple[str, str]]:
    """(role, parameter) of everything that has a parameter; a cursor last, so that it may take the place of the moment."""
    incremental, paging = stream.incremental, stream.paging
    for role, param in (
        ("since", incremental and incremental.param),
        ("until", incremental and incremental.until_param),
        (paging.role, getattr(paging, "param", None)),
        ("size", getattr(paging, "size_param", None)),
    ):
        if param:
            yield role, param


def _texts(stream: RestStream) -> Iterator[str]:
    yield stream.path
    yield from stream.params.values()
    yield from stream.headers.values()
    yield from texts_in(stream.body)


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a JSON-like value."""
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from texts_in(item)


def _in_lists(value: Any) -> Iterator[str]:
    """Every text that stands in a list of a JSON-like value, where it can't be left out."""
    if isinstance(value, list | tuple):
        yield from (text for item in value if not isinstance(item, Mapping) for text in texts_in(item))
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _in_lists(item)


class _Fill:
    """Templates filled with values and secrets, in one go: what is filled in is not looked at again."""

    def __init__(self, values: Mapping[str, Param], secret: Callable[[str], str]) -> None:
        self._values = values
        self._secret = secret

    def text(self, template: str) -> str:
        """The text; raises _Unknown where a place is not known."""
        return _PLACE.sub(self._one, template)

    def members(self, templates: Mapping[str, Any]) -> dict[str, Any]:
        """The members whose places are known."""
        found: dict[str, Any] = {}
        for name, template in templates.items():
            try:
                found[name] = self.value(template)
            except _Unknown:
                continue
        return found

    def value(self, template: Any) -> Any:
        """A value of the body: a text that is nothing but a place is what stands for it, a number as a number."""
        if isinstance(template, str):
            alone = _PLACE.fullmatch(template)
            if alone and alone["role"] and not alone["how"]:
                return self._value(alone["role"])
            return self.text(template)
        if isinstance(template, Mapping):
            return self.members(template)
        if isinstance(template, list | tuple):
            return [self.value(item) for item in template]
        return template

    def _one(self, found: re.Match[str]) -> str:
        if found["secret"]:
            return self._secret(found["secret"])
        text = str(self._value(found["role"]))
        if found["how"] == "doubled":
            return text.replace("'", "''")
        return re.sub(r"(['\"\\])", r"\\\1", text) if found["how"] == "escaped" else text

    def _value(self, role: str) -> Param:
        if role not in self._values:
            raise _Unknown(role)
        return self._values[role]

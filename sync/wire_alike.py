"""The quickest road into a JSON page: records that all have the same members become columns, without a dict for any of them.

The first records say which members there are. Every record must then have each of them and no other, and a count of what ends a
key must come out at exactly that many: no record can hold a key twice. Every other page goes a slower road.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, overload

import msgspec
import numpy as np

_SAMPLE = 5
_SAMPLE_BYTES = 65_536
_MEMBERS_MAX = 400
_NO_TWINS = json.JSONDecoder()
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class Number(str):
    """A JSON number's own text: a str, told apart from the texts of the page."""

    __slots__ = ()


class Records(Sequence[msgspec.Raw | bytes]):
    """The records of a JSON array, cut apart only when one of them is asked for. `array`: the array's own bytes."""

    def __init__(self, array: bytes) -> None:
        self.array = array

    @cached_property
    def _parts(self) -> list[msgspec.Raw]:
        return _ARRAY.decode(self.array)

    @overload
    def __getitem__(self, place: int) -> msgspec.Raw | bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[msgspec.Raw | bytes]: ...
    def __getitem__(self, place: int | slice) -> msgspec.Raw | bytes | Sequence[msgspec.Raw | bytes]:
        return self._parts[place]

    def __iter__(self) -> Iterator[msgspec.Raw | bytes]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


class Node(NamedTuple):
    """What an object holds: the name of each member, with its own node where the member is an object or a list (`many`) of them."""

    many: bool
    members: tuple[tuple[str, Node | None], ...]


class Unlike(ValueError):
    """The records don't have the same members."""


class Alike:
    """The records of a page, by member. Numbers that are no integers are their text (Number)."""

    def __init__(self, node: Node, structs: Sequence[Any]) -> None:
        self.total = len(structs)
        self._node = node
        self._structs = structs

    @staticmethod
    def joined(pages: Sequence[Alike]) -> Alike | None:
        """The records of several pages as those of one; None where the pages' records are not alike."""
        first = pages[0]
        if any(page._node != first._node for page in pages):
            return None
        return Alike(first._node, list(chain.from_iterable(page._structs for page in pages)))

    @cached_property
    def names(self) -> Mapping[str, int]:
        """The members that every record has, and their places."""
        return {name: place for place, (name, _) in enumerate(self._node.members)}

    def column(self, name: str) -> Sequence[Any] | None:
        """The values of a member; an object is something that msgspec can write as JSON. None where there is no such member."""
        return list(map(attrgetter(f"f{self.names[name]}"), self._structs)) if name in self.names else None

    def first(self, name: str) -> Any:
        """The first value of a member that is none of null."""
        return next((value for value in map(attrgetter(f"f{self.names[name]}"), self._structs) if value is not None), None)

    def values(self, path: str) -> Sequence[Any]:
        """The values at a path, whose dots go into objects; None for each record that has nothing there."""
        name, _, rest = path.partition(".")
        values = self.column(name)
        node = dict(self._node.members).get(name)
        while rest and values is not None:
            name, _, rest = rest.partition(".")
            place = _place(node, name)
            if node is None or node.many or place is None:
                values = None
                break
            of = attrgetter(place)
            values = [None if value is None else of(value) for value in values]
            node = dict(node.members)[name]
        return [None] * self.total if values is None else values

    def has(self, path: str, members: Collection[str]) -> bool:
        """Whether what stands at the path is an object that has one of these members."""
        node: Node | None = self._node
        for step in path.split("."):
            node = dict(node.members).get(step) if node is not None else None
        return node is not None and not node.many and any(name in members for name, _ in node.members)

    def first_texts(self, path: str, member: str) -> list[str | None]:
        """Of each record the first text, empty ones passed over, that the objects in the list at `path` hold under `member`."""
        holder, _, name = path.rpartition(".")
        node: Node | None = self._node
        for step in (*holder.split("."), name) if holder else (name,):
            node = dict(node.members).get(step) if node is not None else None
        place = _place(node, member)
        if node is None or not node.many or place is None:
            return [None] * self.total
        values = self.values(path)
        of = attrgetter(place)
        first = [of(items[0]) if items else None for items in values]
        if all(first) and set(map(type, first)) == {str}:
            return first
        texts = ((of(item) for item in items or ()) for items in values)
        return [next((text for text in held if isinstance(text, str) and text), None) for held in texts]


def read(array: bytes, float_hook: Callable[[str], Any]) -> Alike | None:
    """The records of a JSON array of objects; None where they aren't alike or there is any doubt about one of them."""
    ends = _key_ends(array)
    if ends is None or (b"\\" in array and b"\\u0000" in array):
        return None
    try:
        node = _node(list(_samples(array)), many=True)
        structs: list[Any] = _decoder(node, float_hook).decode(array)
    except (Unlike, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Alike(node, structs) if ends == _keys(node, len(structs), structs) else None


def _key_ends(array: bytes) -> int | None:
    """How often a colon follows a quote, as it does where a key ends; None where one follows a blank, and might end a key too."""
    signs = np.frombuffer(array, np.uint8)
    before = signs[np.flatnonzero(signs == ord(":")) - 1]
    return None if bool((before <= ord(" ")).any()) else int(np.count_nonzero(before == ord('"')))


def _samples(array: bytes) -> Iterator[dict[str, Any]]:
    """The first records, at least one."""
    text = array[:_SAMPLE_BYTES].decode("utf-8", "ignore")
    at = 1
    for number in range(_SAMPLE):
        try:
            found, at = _NO_TWINS.raw_decode(text, at)
        except ValueError as error:  # the array ends here, or the sample does
            if number:
                return
            raise Unlike from error
        if not isinstance(found, dict):
            raise Unlike
        yield found
        at += 1


def _node(samples: Sequence[Mapping[str, Any]], *, many: bool) -> Node:
    names = samples[0].keys()
    if len(names) > _MEMBERS_MAX or any(sample.keys() != names for sample in samples):
        raise Unlike
    return Node(many, tuple((name, _member([sample[name] for sample in samples])) for name in names))


def _member(values: Sequence[Any]) -> Node | None:
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {dict}:
        return _node([value for value in values if value is not None], many=False)
    if kinds == {list}:
        items = [item for value in values if value is not None for item in value]
        if items and all(type(item) is dict for item in items):
            return _node(items, many=True)
    return None


@lru_cache(maxsize=256)
def _decoder(node: Node, float_hook: Callable[[str], Any]) -> msgspec.json.Decoder[list[Any]]:
    return msgspec.json.Decoder(list[_struct(node)], float_hook=float_hook)  # type: ignore[misc]


def _struct(node: Node) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any]] = []
    for at, (_, member) in enumerate(node.members):
        kind: Any = Any
        if member is not None:
            inner: Any = _struct(member)
            kind = list[inner] | None if member.many else inner | None
        fields.append((f"f{at}", kind))
    names = {f"f{at}": name for at, (name, _) in enumerate(node.members)}
    try:
        return msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)
    except ValueError as error:  # a name that msgspec does not take
        raise Unlike from error


def _keys(node: Node, total: int, structs: Iterable[Any]) -> int:
    """How many keys these objects hold, those of the objects within them included."""
    count = total * len(node.members)
    nested = [(f"f{at}", member) for at, (_, member) in enumerate(node.members) if member is not None]
    held = structs if len(nested) < 2 else list(structs)
    for place, member in nested:
        inner = [value for value in map(attrgetter(place), held) if value is not None]
        if member.many:
            count += _keys(member, sum(map(len, inner)), chain.from_iterable(inner))
        else:
            count += _keys(member, len(inner), inner)
    return count


def _place(node: Node | None, name: str) -> str | None:
    names = [each for each, _ in node.members] if node is not None else []
    return f"f{names.index(name)}" if name in names else None

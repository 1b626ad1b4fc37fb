"""What a sender of events is: it looks at the world for what changed, and writes the request that tells of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Protocol

from sandbox.world.engine import World


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a system's events go, and the secret that proves their sender there."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Mail:
    """One event, or the several that travel together: `id` as its sender counts it, `content` as the sender needs it to write the request."""

    id: str
    content: Any


@dataclass(frozen=True, slots=True)
class Letter:
    """A request as it goes out."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Sender(Protocol):
    """One vendor's way of telling. `name` is how the control port calls it, `system` whose it is."""

    name: str
    system: str

    def gather(self, world: World, since: datetime) -> Sequence[Mail]:
        """What is to be told of everything that changed after `since`."""
        ...

    def letter(self, world: World, mail: Mail, receiver: Receiver, *, forged: bool) -> Letter | None:
        """The request, written at the moment of the attempt; None: there is nothing left to tell. `forged`: with a proof that is wrong."""
        ...

    def taken(self, answer: Answer) -> bool:
        """Whether the receiver has acknowledged it, by this vendor's rules."""
        ...

    def question(self) -> Mapping[str, str] | None:
        """The headers of the OPTIONS request that asks beforehand whether events may be delivered; None: this vendor never asks."""
        ...

    def consented(self, answer: Answer) -> bool:
        """Whether that was answered with a yes."""
        ...


class Unasked:
    """A vendor that never asks beforehand whether it may deliver, and takes any 2xx for an acknowledgement."""

    def taken(self, answer: Answer) -> bool:
        """Any 2xx."""
        return 200 <= answer.status < 300

    def question(self) -> Mapping[str, str] | None:
        """There is none."""
        return None

    def consented(self, answer: Answer) -> bool:
        """As nobody was asked, nobody can have refused."""
        return answer.status < 400


def changed(rows: Iterable[Any], stamp: str, since: datetime) -> list[Any]:
    """The records whose `stamp` is later than `since`, in the order of their stamps."""
    of = attrgetter(stamp)
    return sorted((row for row in rows if of(row) > since), key=of)

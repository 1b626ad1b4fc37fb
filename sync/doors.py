"""What stands at a connection's webhook: it checks who knocks, reads what to look at again, and answers as the sender expects.

Nothing in a body is believed: a webhook is a hint to read again. A system whose events are not signed our way brings a door of its
own (`make_door(connection)` in its package); a door is pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from sync.connections import ConfigError, Connection
from sync.signatures import Scheme, check
from sync.strict_json import loads


@dataclass(frozen=True, slots=True)
class Hint:
    """What to read again. `stream` None: every stream of the connection. `keys`: these records only, in the source's own ids;
    none: whatever has changed. `whole`: the sender has lost count, the stream is to be read from its beginning.
    """

    stream: str | None = None
    keys: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """One event as its sender counts them: `event_id` is unique within the connection for ever; a body may hold many.

    `fault`: why it can't be read, in words; it is then kept for a person to look at, and whatever has changed is asked for.
    """

    event_id: str
    hints: tuple[Hint, ...] = (Hint(),)
    fault: str | None = None


def unreadable(part: bytes, fault: str) -> Notice:
    """The notice of a body, or of a part of one, that is no event: known by its bytes."""
    return Notice(digest_id(part), fault=fault)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the sender is answered once its notices are kept."""

    status: int = 202
    content_type: str = "application/json"
    body: bytes | None = None
    """None: our own JSON receipt."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Door(Protocol):
    """Who may knock and what they say. `headers` have lower-case names; the pseudo header `:path` is the address that was called, with
    its query, for senders that can add nothing but to their address. A door is made anew for each request.
    """

    def check(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime) -> None:
        """Passes when the request proves who sent it; `secrets` are the live ones, `now` is wall time, UTC.

        Raises SignatureRefused, also when nothing is configured that could prove it: it fails closed.
        """
        ...

    def notices(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        """The events in the body, own echoes left out, those that can't be read with their fault. Raises ValueError, in words, when the
        body as a whole is none of this system's.
        """
        ...

    def reply(self) -> Reply:
        """The answer once everything is kept."""
        ...


@runtime_checkable
class Greeting(Protocol):
    """A door whose senders ask beforehand, by OPTIONS, whether they may deliver here."""

    def greet(self, headers: Mapping[str, str]) -> Mapping[str, str] | None:
        """The headers of our consent; None: no. `headers` have lower-case names. It lets nobody in: each delivery is checked."""
        ...


@runtime_checkable
class Redacting(Protocol):
    """A door whose sender puts things into a body that nobody may keep, such as the session of the user who caused the event."""

    def kept(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The body as it may be stored. Raises ValueError when it can't be made safe."""
        ...


@dataclass(frozen=True, slots=True)
class SignedDoor:
    """The door of a system whose bodies are signed as `scheme` says: one notice a body, about everything there."""

    scheme: Scheme

    @classmethod
    def of(cls, connection: Connection) -> SignedDoor:
        """The door that the connection's option `webhook` declares, or our own scheme; ConfigError when it declares none that there is."""
        declared: Any = connection.options.get("webhook", {})
        if not isinstance(declared, Mapping) or not all(_fits(name, value) for name, value in declared.items()):
            raise ConfigError(
                f'connection {connection.name}: webhook has header = "...", timestamped = true or false, event_id_header = "...", and no more'
            )
        return cls(Scheme(**declared))

    def check(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime) -> None:
        """As Door.check, by HMAC over the raw bytes."""
        check(self.scheme, headers, body, secrets, now=now)

    def notices(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        """One notice: everything there is to be asked for news."""
        return (Notice(event_id(self.scheme, headers, body)),)

    def reply(self) -> Reply:
        """202 with our receipt."""
        return Reply()


def _fits(name: str, value: Any) -> bool:
    return (
        isinstance(value, bool)
        if name == "timestamped"
        else name in ("header", "event_id_header") and isinstance(value, str) and value != ""
    )


def event_id(scheme: Scheme, headers: Mapping[str, str], body: bytes) -> str:
    """The sender's own id of the event (header, or CloudEvents `source` and `id`), else the digest of the body."""
    if scheme.event_id_header and (given := headers.get(scheme.event_id_header.lower())):
        return given
    try:
        document = loads(body)
    except ValueError:
        document = None
    if isinstance(document, Mapping) and document.get("specversion"):
        source, own = document.get("source", ""), document.get("id")
        if isinstance(source, str) and isinstance(own, str | int) and own:
            return f"{source}|{own}"
    return digest_id(body)


ID_MAX = 400


def storable(notice: Notice) -> Notice:
    """The notice as the database can hold it: an id that is too long or has letters that no text may have ends in its digest, so that two are
    never taken for one; a key with such letters names no record, and its stream is asked for whatever has changed.
    """
    given = notice.event_id
    if len(given) > ID_MAX or not _clean(given):
        digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()
        begin = "".join(letter for letter in given[: ID_MAX - 72] if _clean(letter))
        given = f"{begin}#{digest}"
    hints = tuple(replace(hint, keys=tuple(key for key in hint.keys if _clean(key))) for hint in notice.hints)
    return replace(notice, event_id=given, hints=hints)


def _clean(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def digest_id(body: bytes) -> str:
    """The id of an event that brings none: its bytes'."""
    return "sha256:" + hashlib.sha256(body).hexdigest()

"""What the suite of the doors has to know of a sender, and what any sender may send that is wrong."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from sync.connections import Connection
from tests.postgres.doors_house import OTHER_SECRET, SECRET, Sent, as_json

REFERENCES = {"webhook_secret": "env:DOORS_SECRET", "webhook_secret_previous": "env:DOORS_OLD_SECRET"}
GARBAGE: Mapping[str, bytes] = {
    "empty": b"", "blank": b" \r\n", "cut": b"{", "null": b"null", "no event": b"{}", "no events": b"[]", "a text": b'"x"', "a number": b"7",
    "constants": b'{"id":NaN,"data":{"id":-Infinity}}', "twin keys": b'{"id":"a","id":"b"}', "not UTF-8": b"\xff\xfe\x00{", "NUL": b"\x00",
    "half a letter": b'{"id":"\\ud800","specversion":"1.0","data":{"id":"\\udfff\\u0000"}}', "deep": b"[" * 100_000,
    "nested": b'{"id":' + b"[" * 900 + b"]" * 900 + b',"specversion":"1.0","data":{"object":' + b"[" * 900 + b"]" * 900 + b"}}",
    "an exponent": b'{"id":1e99999999999999999999}', "digits": b'{"id":' + b"9" * 5_000 + b"}", "long": b'{"id":' + b"9" * 400 + b',"specversion":"1"}',
    "XML": b"<x/>", "entities": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>',
    "a file": b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>', "UTF-16": '{"id":"x"}'.encode("utf-16"),
}  # fmt: skip
"""What a sender of any kind may hand over, rightly proven, once something in it is broken."""
ODD_SIGNATURES: Sequence[bytes] = (b"t=1", b"v1=00", b"t=x,v1=00", b"t=1,v1=\xc3\xa4", b"t=1,v1=\xff\xfe", b"t=99999999999999999999,v1=00", b"\xff", b"sha256=00",
              b"t=-1,v1=00", b"t=1,v0=00", b",,,=,=", b"t=" + b"9" * 5_000 + b",v1=" + b"0" * 5_000)  # fmt: skip
"""What may stand in a header where `t=<seconds>,v1=<hex>` should."""
ODD_CREDENTIALS: Sequence[bytes] = (b"Basic", b"Basic !!", b"Basic " + base64.b64encode(b"mesh"), b"Basic " + base64.b64encode(b"mesh:\xff"), b"Bearer", b"Bearer \xff",
              b"Bearer \xc3\xa4", b"Digest x", b"Basic bWVzaA", b"Negotiate " + b"A" * 5_000, b"t=1,v1=00")  # fmt: skip
"""What may stand in an Authorization header where the secret should."""
ONLY_A_LOOK = "TLS and the secret; the event's id is remembered for ever; nothing in a body is believed, it can do no more than a look"


class DoorCase(ABC):
    """One sender at one connection. `stream` is what its events are about; `proof`: the header that holds its proof.

    `timed`: the proof tells when it was made. `signs_body`: it covers the body's bytes. `instead`: what protects where the vendor's way
    has not all of it. `keyed`: events name records. `many`: a body may hold several. `reads`: it looks into bodies, so that one may be
    unreadable.
    """

    connection: ClassVar[Connection]
    stream: ClassVar[str]
    proof: ClassVar[str | None] = None
    odd_proofs: ClassVar[Sequence[bytes]] = ()
    timed = False
    signs_body = True
    instead = ""
    keyed = True
    many = False
    reads = True
    acknowledged: ClassVar[tuple[int, str, bytes]] = (202, "application/json", b'"accepted":true')
    """Status, content type, and what the body holds, of the answer that the vendor takes for an acknowledgement."""

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.connection.name

    @abstractmethod
    def event(self, number: int, record: int) -> Any:
        """Event `number`, about record `record`, as a part of a body."""

    @abstractmethod
    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        """Any bytes with a genuine proof made by `secret` at `at` (now), as event `number` where the number travels outside the body."""

    @abstractmethod
    def inbox(self, number: int, record: int) -> str:
        """The id under which that event is remembered."""

    @abstractmethod
    def key(self, record: int) -> str:
        """The record's id in its system."""

    def body(self, *events: Any) -> bytes:
        """A body of these events."""
        (event,) = events
        return as_json(event)

    def request(self, number: int = 1, record: int = 1, **proof: Any) -> Sent:
        """A genuine event."""
        return self.sealed(self.body(self.event(number, record)), number=number, **proof)

    def kept(self, body: bytes) -> bytes:
        """The bytes that may be stored."""
        return body

    def forgeries(self) -> dict[str, Sent]:
        """Requests that prove nothing."""
        genuine, guessed = self.request(), self.request(secret="guessed")  # noqa: S106
        assert self.proof is not None
        found = {"guessed": guessed, "another's": self.request(secret=OTHER_SECRET), "none": self.request(secret="")}
        found |= {f"proof {odd!r}": genuine.but(**{self.proof.replace("-", "_"): odd}) for odd in (b"", *self.odd_proofs)}
        found["missing"] = genuine.but(**{self.proof.replace("-", "_"): None})
        if self.signs_body:
            at = len(genuine.body) // 2
            changed = bytes([genuine.body[at] ^ 1])
            found["one byte"] = Sent(genuine.body[:at] + changed + genuine.body[at + 1 :], genuine.headers, genuine.query)
            found["one more byte"] = Sent(genuine.body + b" ", genuine.headers, genuine.query)
        return found

    def odd_events(self) -> Sequence[Any]:
        """Parts of a body that are no events."""
        return ()

    def garbage(self) -> dict[str, bytes]:
        """Bodies, to be sealed."""
        return dict(GARBAGE)

    def other(self, number: int) -> Any:
        """An event about something of another stream, where bodies hold several."""
        raise NotImplementedError

    def with_id(self, text: str) -> bytes | None:
        """A body whose event has this id, JSON-escaped; None where ids do not travel in bodies."""
        return None

    def overflows(self) -> Sequence[Sent]:
        """Requests by which the sender says that it lost count of the stream."""
        return ()

    def echo(self) -> Sent | None:
        """What the sender tells of our own write."""
        return None

    def unread(self) -> Sent | None:
        """An event about something that no stream reads."""
        return None

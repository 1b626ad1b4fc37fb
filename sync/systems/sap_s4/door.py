"""What knocks at the webhook of an S/4HANA connection: business events, as Event Mesh delivers them. Each is a hint to read again."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync.cloud_events import Event, consent, events
from sync.connections import ConfigError, Connection
from sync.doors import Hint, Notice, Reply, SignedDoor, unreadable
from sync.signatures import SignatureRefused, among, sent

_TYPE = re.compile(r"(?:^|[./])(?P<object>[a-z]+)[./]v\d+[./]\w+[./]\w+", re.IGNORECASE)
STREAMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "salesorder": ("sales_orders", ("SalesOrder",)),
    "billingdocument": ("billing_documents", ("BillingDocument",)),
    "outbounddelivery": ("deliveries", ("OutboundDelivery", "DeliveryDocument")),
    "deliverydocument": ("deliveries", ("DeliveryDocument", "OutboundDelivery")),
    "businesspartner": ("customers", ("Customer", "BusinessPartner")),
    "journalentry": ("accounting_items", ()),
}
"""Business object, as the event's type names it -> the stream it is read by, and where its data holds the key."""


@dataclass(frozen=True, slots=True)
class EventDoor:
    """Takes CloudEvents from who shows the webhook's secret: `Authorization: Bearer`, `Basic` with it as the password, or our own signature.

    `origins`: which senders may ask beforehand to be let in; none: any.
    """

    signed: SignedDoor
    origins: tuple[str, ...] = ()

    @classmethod
    def of(cls, connection: Connection) -> EventDoor:
        """The door of a connection; ConfigError when `webhook_origins` is no list of names."""
        origins = connection.options.get("webhook_origins", ())
        if not isinstance(origins, list | tuple) or not all(isinstance(one, str) and one for one in origins):
            raise ConfigError(f"connection {connection.name}: webhook_origins is a list of host names")
        return cls(SignedDoor.of(connection), tuple(origins))

    def check(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime) -> None:
        """As Door.check."""
        given = headers.get("authorization")
        if given is None or self.signed.scheme.header.lower() in headers:
            self.signed.check(headers, body, secrets, now=now)
            return
        if not secrets:
            raise SignatureRefused("no webhook secret is configured for this connection")
        if not among([_shown(given)], [one.encode() for one in secrets]):
            raise SignatureRefused("the Authorization header does not hold the webhook's secret")

    def notices(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        """One notice for each event, and for each part of a batch that is none. A body without any event is a hint to read everything where we know its sender by our own signature, and
        raises ValueError otherwise.
        """
        try:
            sound, odd = events(headers, body)
        except ValueError:
            if self.signed.scheme.header.lower() in headers:
                return self.signed.notices(headers, body)
            raise
        return [*(Notice(one.unique, hints_of(one)) for one in sound), *(unreadable(one.part, one.why) for one in odd)]

    def reply(self) -> Reply:
        """202 with our receipt."""
        return Reply()

    def greet(self, headers: Mapping[str, str]) -> Mapping[str, str] | None:
        """As Greeting.greet: CloudEvents' protection against senders that were not asked."""
        return consent(headers, self.origins)


def hints_of(event: Event) -> tuple[Hint, ...]:
    """What to read again because of an event; nothing where it is about something that is not read here."""
    found = _TYPE.search(event.type)
    known = STREAMS.get(found["object"].lower()) if found else None
    if known is None:
        return ()
    stream, names = known
    given = next((event.data[name] for name in names if isinstance(event.data.get(name), str) and event.data[name]), None)
    if given is None and names and event.subject and event.subject.isalnum():
        given = event.subject
    if given is None or len(given) > 40:
        return (Hint(stream),)  # no field of the data is promised: whatever has changed is found by its stamp
    # Events may pad a number with zeros that the interface does not show.
    return (Hint(stream, tuple(dict.fromkeys((given, given.lstrip("0") or given)))),)


def _shown(authorization: str) -> bytes:
    """The secret that an Authorization header shows: a bearer's token, the password of a user, or the whole of it."""
    kind, _, rest = authorization.partition(" ")
    if kind.lower() == "bearer":
        return sent(rest.strip())
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return sent(authorization.strip())

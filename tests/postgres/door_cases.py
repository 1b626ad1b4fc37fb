"""Every sender that knocks at a door of ours, as its vendor documents it: how it names a record, proves itself, and what it waits for."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from sync.connections import Connection
from sync.signatures import sign
from tests.postgres.door_case import ODD_CREDENTIALS, ODD_SIGNATURES, ONLY_A_LOOK, REFERENCES, DoorCase
from tests.postgres.door_cases_salesforce import ChangeEvents, ChangeEventsByToken, OutboundMessages, OutboundWithSecret
from tests.postgres.doors_house import SECRET, Sent, as_json


class OwnDoor(DoorCase):
    """Our own scheme, that of every system without a door of its own: bodies are opaque."""

    connection = Connection(name="treasury", system="kyriba", region="EMEA", secrets=REFERENCES)
    stream = "balances"
    proof = "x-tidegate-signature"
    odd_proofs = ODD_SIGNATURES
    timed = True
    keyed = False
    reads = False

    def event(self, number: int, record: int) -> Any:
        return {"number": number, "about": record}

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        headers = {"content-type": "application/json", "x-tidegate-signature": sign(body, secret, at=at or datetime.now(UTC))}
        return Sent(body, {**headers, "x-event-id": f"evt-{number}"})

    def inbox(self, number: int, record: int) -> str:
        return f"evt-{number}"

    def key(self, record: int) -> str:
        return str(record)

    def forgeries(self) -> dict[str, Sent]:
        genuine, stamp = self.request(), int(datetime.now(UTC).timestamp())
        digest = str(genuine.headers["x-tidegate-signature"]).partition(",v1=")[2]
        bare = hmac.new(SECRET.encode(), genuine.body, hashlib.sha256).hexdigest()
        wrong = (f"t={stamp},v0={digest}", f"t={stamp},v2={digest}", f"v1={digest}", f"t={stamp},v1={bare}", bare, f"t={stamp},v1=\u00e4")
        return super().forgeries() | {one: genuine.but(x_tidegate_signature=one) for one in wrong}


class CloudEventAtOwnDoor(OwnDoor):
    """A CloudEvent at our own door is known by its source and id."""

    connection = OwnDoor.connection.model_copy(update={"name": "ledger", "system": "tryton"})

    def event(self, number: int, record: int) -> Any:
        return {"specversion": "1.0", "source": "/books", "id": f"evt-{number}", "type": "changed", "data": record}

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        return super().sealed(body, secret=secret, at=at).but(x_event_id=None)

    def inbox(self, number: int, record: int) -> str:
        return f"/books|evt-{number}"

    def with_id(self, text: str) -> bytes | None:
        return self.body(self.event(1, 1)).replace(b"evt-1", text.encode())


class DeclaredDoor(DoorCase):
    """A bare digest under header names that the connection declares (REST)."""

    options: ClassVar[Mapping[str, Any]] = {"webhook": {"header": "X-Hub-Digest", "timestamped": False, "event_id_header": "X-Delivery"}}
    connection = Connection(name="subscriptions", system="rest", region="EMEA", options=dict(options), secrets=REFERENCES)
    stream = "invoices"
    proof = "x-hub-digest"
    odd_proofs = (b"0" * 64, b"\xc3\xa4" * 32, b"\xff\xfe", b"t=1,v1=00", b"sha256=" + b"0" * 64)
    instead = "the event's id is remembered for ever, and an event does no more than a look"
    keyed = False
    reads = False

    def event(self, number: int, record: int) -> Any:
        return {"number": number, "about": record}

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        return Sent(body, {"x-hub-digest": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), "x-delivery": f"d-{number}"})

    def inbox(self, number: int, record: int) -> str:
        return f"d-{number}"

    def key(self, record: int) -> str:
        return str(record)


class ModernTreasury(DoorCase):
    """X-Signature is the hex HMAC-SHA256 of the raw body, X-Webhook-ID the event; any 2xx within five seconds is an acknowledgement."""

    connection = Connection(name="payments", system="modern_treasury", region="EMEA", secrets=REFERENCES)
    stream = "expected_payments"
    proof = "x-signature"
    odd_proofs = DeclaredDoor.odd_proofs
    instead = DeclaredDoor.instead
    acknowledged = (200, "application/json", b'"accepted":true')

    def event(self, number: int, record: int) -> Any:
        return {"event": "updated", "data": {"id": self.key(record), "object": "expected_payment", "amount": 100}}

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        about = {"x-topic": "expected_payment", "x-webhook-id": f"wh-{number}", "x-organization-id": "org-1"}
        return Sent(body, {"content-type": "application/json", "x-signature": digest, **about})

    def inbox(self, number: int, record: int) -> str:
        return f"wh-{number}"

    def key(self, record: int) -> str:
        return f"0f5e8a2c-{record:012d}"

    def unread(self) -> Sent | None:
        return self.sealed(as_json({"event": "created", "data": {"id": "x", "object": "ledger_entry"}}), number=77)


class EventMesh(DoorCase):
    """CloudEvents as Event Mesh delivers them: basic authentication with the secret as the password."""

    connection = Connection(
        name="erp", system="sap_s4", region="EMEA", options={"webhook_origins": ["eventmesh.example"]}, secrets=REFERENCES
    )  # fmt: skip
    stream = "sales_orders"
    proof = "authorization"
    odd_proofs = ODD_CREDENTIALS
    signs_body = False
    instead = ONLY_A_LOOK
    many = True
    kind = "sap.s4.beh.salesorder.v1.SalesOrder.Changed.v1"

    def event(self, number: int, record: int) -> Any:
        known = {"specversion": "1.0", "id": f"evt-{number}", "source": "/default/sap.s4/S4X", "type": self.kind}
        return {**known, "time": "2026-03-02T08:59:58Z", "datacontenttype": "application/json", "data": {"SalesOrder": self.key(record)}}

    def body(self, *events: Any) -> bytes:
        return as_json(list(events) if len(events) > 1 else events[0])

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        shown = base64.b64encode(f"event-mesh:{secret}".encode()).decode()
        return Sent(body, {"content-type": "application/cloudevents+json; charset=UTF-8", "authorization": f"Basic {shown}"})

    def inbox(self, number: int, record: int) -> str:
        return f"/default/sap.s4/S4X|evt-{number}"

    def key(self, record: int) -> str:
        return str(4_710 + record)

    def other(self, number: int) -> Any:
        kind = "sap.s4.beh.billingdocument.v1.BillingDocument.Created.v1"
        return {**self.event(number, number), "type": kind, "data": {"BillingDocument": f"90{number:06d}"}}

    def odd_events(self) -> Sequence[Any]:
        return (7, None, {}, {**self.event(9, 9), "id": ""}, {**self.event(9, 9), "specversion": "0.3"}, [[]], "text")

    def with_id(self, text: str) -> bytes | None:
        return self.body(self.event(1, 1)).replace(b"evt-1", text.encode())

    def unread(self) -> Sent | None:
        return self.sealed(as_json({**self.event(77, 1), "type": "sap.s4.beh.unknownthing.v1.Thing.Created.v1"}))


class EventInHeaders(EventMesh):
    """Binary mode: the event's attributes are headers, the body is its data; the secret as a bearer's token."""

    many = False

    def event(self, number: int, record: int) -> Any:
        return {"SalesOrder": self.key(record)}

    def sealed(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None, number: int = 1) -> Sent:
        attributes = {"ce-id": f"evt-{number}", "ce-source": "/default/sap.s4/S4X", "ce-specversion": "1.0", "ce-type": self.kind}
        return Sent(body, {"content-type": "application/json", "authorization": f"Bearer {secret}".strip(), **attributes})

    def with_id(self, text: str) -> bytes | None:
        return None

    def unread(self) -> Sent | None:
        return None


CASES: Sequence[type[DoorCase]] = (
    OwnDoor, CloudEventAtOwnDoor, DeclaredDoor, ModernTreasury, EventMesh, EventInHeaders, ChangeEvents, ChangeEventsByToken, OutboundMessages,
    OutboundWithSecret,
)  # fmt: skip
"""Every sender there is."""

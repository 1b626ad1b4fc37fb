"""Business events of an S/4HANA host, as Event Mesh delivers them to a webhook: CloudEvents 1.0, one each, after an OPTIONS handshake."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sandbox.events.mail import Answer, Letter, Mail, Receiver, changed
from sandbox.world.engine import World
from sandbox.world.model import Invoice, Order
from sandbox.world.reference import LEGAL_ENTITIES

ORIGIN = "eventmesh.sandbox.example"
USER = "event-mesh"


class EventMesh:
    """The queue of one host with its webhook subscription: sales orders created and changed, billing documents created."""

    def __init__(self, host: str) -> None:
        self.name = self.system = host

    def gather(self, world: World, since: datetime) -> Sequence[Mail]:
        """One event for each record."""
        orders = changed((one for one in world.orders.values() if one.host == self.system), "changed_at", since)
        bills = changed((one for one in world.invoices.values() if one.host == self.system), "created_at", since)
        events = [*(self._order(one, since) for one in orders), *(self._bill(one) for one in bills)]
        return [Mail(each["id"], each) for each in sorted(events, key=lambda each: str(each["time"]))]

    def _order(self, order: Order, since: datetime) -> dict[str, Any]:
        what = "Created" if order.created_at > since else "Changed"
        data = {
            "SalesOrder": order.number, "SalesOrderType": "OR", "SalesOrganization": LEGAL_ENTITIES[order.entity].sales_organization,
            "DistributionChannel": "10", "OrganizationDivision": "00", "SoldToParty": order.customer,
            "EventRaisedDateTime": _moment(order.changed_at),
        }  # fmt: skip
        return self._event(f"salesorder.v1.SalesOrder.{what}.v1", order.number, order.changed_at, data)

    def _bill(self, bill: Invoice) -> dict[str, Any]:
        return self._event("billingdocument.v1.BillingDocument.Created.v1", bill.number, bill.created_at, {"BillingDocument": bill.number})

    def _event(self, kind: str, subject: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "specversion": "1.0", "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.system}:{kind}:{subject}:{at.isoformat()}")),
            "source": f"/default/sap.s4.beh/{self.system}", "type": f"sap.s4.beh.{kind}", "subject": subject, "time": _moment(at),
            "datacontenttype": "application/json", "data": data,
        }  # fmt: skip

    def letter(self, world: World, mail: Mail, receiver: Receiver, *, forged: bool) -> Letter | None:  # noqa: ARG002  (Sender's form)
        """The event in structured form, with basic authentication. Forged: another password."""
        secret = "guessed" if forged else receiver.secret
        shown = base64.b64encode(f"{USER}:{secret}".encode()).decode()
        headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8", "Authorization": f"Basic {shown}"}
        return Letter(json.dumps(mail.content).encode(), headers)

    def taken(self, answer: Answer) -> bool:
        """Any 2xx."""
        return 200 <= answer.status < 300

    def question(self) -> Mapping[str, str] | None:
        """The handshake of CloudEvents' webhooks: nothing is delivered before it went well."""
        return {"WebHook-Request-Origin": ORIGIN, "WebHook-Request-Rate": "120"}

    def consented(self, answer: Answer) -> bool:
        """2xx that names our origin, or any."""
        return 200 <= answer.status < 300 and answer.headers.get("webhook-allowed-origin", "") in (ORIGIN, "*")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"

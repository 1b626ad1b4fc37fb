"""Modern Treasury's webhooks: one event each, signed over the raw body; what was told stays in the list of events."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sandbox.events.mail import Letter, Mail, Receiver, Unasked
from sandbox.modern_treasury.api import LISTS
from sandbox.modern_treasury.objects import Object, identity
from sandbox.world import operating
from sandbox.world.engine import World, at_hour

KEPT = 500
TOPICS: Mapping[str, str] = {
    "balance_report": "balance_reports",
    "transaction": "transactions",
    "expected_payment": "expected_payments",
    "payment_order": "payment_orders",
    "incoming_payment_detail": "incoming_payment_details",
}
"""Topic -> the list whose objects it is about."""


class Webhooks(Unasked):
    """The organisation's webhook endpoint, subscribed to every event of TOPICS."""

    name = system = "modern-treasury"

    def __init__(self, organization_id: str) -> None:
        self._organization_id = organization_id

    def gather(self, world: World, since: datetime) -> Sequence[Mail]:
        """One event for each object that came or changed; kept in the list of events too."""
        if not _anything(world, since):
            return []
        first = since.replace(microsecond=0)
        found = [self._event(topic, one, first) for topic, name in TOPICS.items() for one in LISTS[name].rows(world)
                 if datetime.fromisoformat(one["updated_at"]) >= first]  # fmt: skip
        told = {one["id"] for one in world.told}
        fresh = sorted((one for one in found if one["id"] not in told), key=lambda one: str(one["event_time"]))
        world.told[:] = [*world.told, *fresh][-KEPT:]
        return [Mail(one["id"], one) for one in fresh]

    def _event(self, topic: str, one: Object, since: datetime) -> Object:
        created = datetime.fromisoformat(one["created_at"]) >= since
        status = str(one.get("status") or ("posted" if one.get("posted") else "updated"))
        at = one["updated_at"]
        known = {"id": identity("event", f"{topic}:{one['id']}:{at}:{status}"), "object": "event", "live_mode": True, "resource": topic}
        told = {"event_name": "created" if created else status, "event_time": at, "data": one, "entity_id": one["id"]}
        return {**known, "created_at": at, "updated_at": at, **told}

    def letter(self, world: World, mail: Mail, receiver: Receiver, *, forged: bool) -> Letter | None:  # noqa: ARG002  (Sender's form)
        """The event's name and the object, with the hex HMAC-SHA256 of the body. Forged: under another key."""
        event: Object = mail.content
        body = json.dumps({"event": event["event_name"], "data": event["data"]}).encode()
        key = "guessed" if forged else receiver.secret
        headers = {
            "Content-Type": "application/json", "X-Topic": event["resource"], "X-Webhook-ID": event["id"],
            "X-Signature": hmac.new(key.encode(), body, hashlib.sha256).hexdigest(), "X-Organization-ID": self._organization_id,
        }  # fmt: skip
        return Letter(body, headers)


def _anything(world: World, since: datetime) -> bool:
    """Whether anything of the account can have changed since: what moves follows from the calendar, the rest was written or touched."""
    told = (one.changed_at for one in world.expected.values())
    if any(at > since for at in (*told, *world.touched.values())):
        return True
    moments = (at for one in operating.movements(world) for at in (one.planned_at, one.seen_at, one.at,
               at_hour(one.day - timedelta(days=4), 9), at_hour(one.day - timedelta(days=1), 16)))  # fmt: skip
    reported = (at_hour(world.now.date(), hour) for hour in (5, 12))
    return any(since < at <= world.now for at in (*moments, *reported))

"""Modern Treasury's webhooks: signed over the raw body, one event each; what it names is read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync.doors import Hint, Notice, Reply, digest_id
from sync.signatures import Scheme, check
from sync.strict_json import loads

SCHEME = Scheme(header="x-signature", timestamped=False, event_id_header="x-webhook-id")
# What an event is about -> the stream that reads it, and the member of its data that names the record there.
STREAM_OF = {
    "internal_account": ("accounts", "id"),
    "balance_report": ("balances", "internal_account_id"),
    "transaction": ("transactions", "id"),
    "expected_payment": ("expected_payments", "id"),
    "payment_order": ("payment_orders", "id"),
    "incoming_payment_detail": ("incoming_payments", "id"),
}


@dataclass(frozen=True, slots=True)
class ModernTreasuryDoor:
    """The header X-Signature is the hex HMAC-SHA256 of the body, X-Webhook-ID the event's own id, X-Topic what it is about.

    The signature carries no time: a copy is told by its id, and does no more than a look.
    """

    def check(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime) -> None:
        """As Door.check; the digest's letters may be of either case."""
        given = headers.get(SCHEME.header)
        lowered = headers if given is None else {**headers, SCHEME.header: given.strip().lower()}
        check(SCHEME, lowered, body, secrets, now=now)

    def notices(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        """One notice. An event about something that no stream reads names nothing to look at."""
        said = loads(body)
        if not isinstance(said, Mapping):
            raise ValueError("the body is no event: expected an object with event and data")  # noqa: TRY004  (the door's word for it)
        data = said.get("data")
        event_id = (headers.get("x-webhook-id") or "").strip() or _text(said.get("id")) or digest_id(body)
        return (Notice(event_id, _hints(headers, data if isinstance(data, Mapping) else {})),)

    def reply(self) -> Reply:
        """200: any 2xx within five seconds counts as delivered."""
        return Reply(status=200)


def _hints(headers: Mapping[str, str], data: Mapping[str, Any]) -> tuple[Hint, ...]:
    kind = (_text(data.get("object")) or headers.get("x-topic", "")).strip().lower()
    stream, member = STREAM_OF.get(kind, (None, ""))
    if stream is None:
        return ()
    key = data.get(member)
    return (Hint(stream, (key,) if isinstance(key, str) and key else ()),)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

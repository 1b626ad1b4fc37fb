"""Modern Treasury's webhooks: who signed, which event it is, what is to be read again."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sync.connections import Connection
from sync.doors import Hint
from sync.systems.registry import door

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
DOOR = door(Connection(name="mt", system="modern_treasury", region="NA"))
BODY = b'{"event":"completed","data":{"id":"abc","object":"payment_order"}}'


def signed(body: bytes, secret: str = "key") -> dict[str, str]:
    """The headers as Modern Treasury sends them."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-signature": digest, "x-webhook-id": "w-1", "x-topic": "payment_order", "content-type": "application/json"}


def test_a_signature_over_the_raw_body_passes() -> None:
    """Either of two live keys, the digest in either case."""
    DOOR.check(signed(BODY), BODY, ["key"], now=NOW)
    DOOR.check(signed(BODY, "old"), BODY, ["new", "old"], now=NOW)
    DOOR.check({"x-signature": signed(BODY)["x-signature"].upper()}, BODY, ["key"], now=NOW)


@pytest.mark.parametrize(
    ("data", "hints"),
    [
        ({"id": "a", "object": "expected_payment"}, (Hint("expected_payments", ("a",)),)),
        ({"id": "a", "object": "transaction"}, (Hint("transactions", ("a",)),)),
        ({"id": "a", "object": "internal_account"}, (Hint("accounts", ("a",)),)),
        ({"id": "a", "object": "incoming_payment_detail"}, (Hint("incoming_payments", ("a",)),)),
        ({"id": "a", "object": "balance_report", "internal_account_id": "acc"}, (Hint("balances", ("acc",)),)),
        ({"id": 7, "object": "transaction"}, (Hint("transactions"),)), ({"id": "a", "object": "ledger_entry"}, ()), ({}, (Hint("payment_orders"),)),
    ],
)  # fmt: skip
def test_an_event_names_what_to_read_again(data: dict[str, Any], hints: tuple[Hint, ...]) -> None:
    """By the object's own kind, else by the topic; what no stream reads names nothing."""
    body = json.dumps({"event": "created", "data": data}).encode()
    (notice,) = DOOR.notices({"x-webhook-id": "w-9", "x-topic": "payment_order"}, body)
    assert (notice.event_id, notice.hints) == ("w-9", hints)


def test_an_event_without_an_id_is_known_by_its_bytes() -> None:
    """The same bytes are the same event."""
    (one,), (two,) = DOOR.notices({}, BODY), DOOR.notices({}, BODY)
    assert one.event_id == two.event_id
    assert one.event_id.startswith("sha256:")

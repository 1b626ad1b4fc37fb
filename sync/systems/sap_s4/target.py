"""Releases sales orders that wait for their credit decision: read first, change once, never guess."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sync.connections import Connection
from sync.errors import PermanentError, TransientError
from sync.http import Answer
from sync.ports import Order, Receipt
from sync.systems.sap_s4 import wire
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.refusals import CsrfRequired
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import ORDERS

_FIELDS = ("SalesOrder", "DeliveryBlockReason", "TotalCreditCheckStatus", "OverallSDDocumentRejectionSts", "LastChangeDateTime")
_BODY = json.dumps({"d": {"DeliveryBlockReason": ""}}).encode()


class S4Target:
    """Carries out `release_order`. Payload: order (its number), block_reason (default the connection's `order_block`)."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session

    def apply(self, order: Order) -> Receipt:
        """Takes the order's delivery block away. `already` when it is gone, `differs` when the order waits for something else.

        Raises ConflictError when the order changed between our reading and our writing, PermanentError when the host refuses,
        UnknownOutcome when the write left and no answer came.
        """
        for tries_left in (1, 0):
            answer = self._fetched(order, {"X-CSRF-Token": "Fetch"})
            held = self._record(answer, order)
            shown = self._compare(order, held)
            if shown.outcome != "absent":
                return shown
            etag = _etag(answer, held)
            if etag is None:
                raise PermanentError(f"{answer.place}: the host gives no ETag: the order can't be changed safely", subject=order.object_key)
            try:
                written = self._session.patch(self._path(order), _BODY, self._headers(order, answer, etag))
            except CsrfRequired:
                if not tries_left:
                    raise
                continue  # nothing was done: once more with a new token
            version = written.headers.get("etag")
            before = {name: held.get(name) for name in _FIELDS}
            return Receipt("applied", reference=str(order.payload["order"]), version=version, detail={"before": before})
        raise AssertionError("the second try returns or raises")

    def read(self, order: Order) -> Receipt:
        """What the host holds: `already` released, `absent` still blocked as it was, `differs` blocked otherwise or rejected."""
        return self._compare(order, self._record(self._fetched(order, {}), order))

    def close(self) -> None:
        self._session.close()

    def _fetched(self, order: Order, headers: dict[str, str]) -> Answer:
        chosen = self._session.select(ORDERS)["$select"].split(",")
        params = {"$select": ",".join(name for name in _FIELDS if name in chosen or name == "SalesOrder"), "$format": "json"}
        answer = self._session.get(self._path(order), params, headers, accept=(404,))
        if answer.status == 404:
            raise PermanentError(
                f"{answer.place}: the host knows no order {order.payload['order']}",
                connection=self._connection.name, subject=order.object_key, status=404,
            )  # fmt: skip
        return answer

    def _record(self, answer: Answer, order: Order) -> dict[str, Any]:
        document = answer.json()
        held = document.get("d") if isinstance(document, dict) else None
        if not isinstance(held, dict) or held.get("SalesOrder") != str(order.payload["order"]) or "DeliveryBlockReason" not in held:
            raise TransientError(
                f"{answer.place}: the answer is no sales order", connection=self._connection.name, subject=order.object_key
            )
        return held

    def _compare(self, order: Order, held: dict[str, Any]) -> Receipt:
        block = str(held.get("DeliveryBlockReason") or "").strip()
        rejected = held.get("OverallSDDocumentRejectionSts") == "C"
        waits_for = str(order.payload.get("block_reason") or self._settings.order_block)
        reference = str(order.payload["order"])
        metadata = held.get("__metadata")
        version = metadata.get("etag") if isinstance(metadata, dict) else None
        detail = {"delivery_block": block, "credit_status": held.get("TotalCreditCheckStatus"), "rejected": rejected}
        if not block:
            return Receipt("already", reference=reference, version=version, detail=detail)
        return Receipt("absent" if block == waits_for and not rejected else "differs", reference=reference, version=version, detail=detail)

    def _headers(self, order: Order, fetched: Answer, etag: str) -> dict[str, str]:
        token = fetched.headers.get("x-csrf-token", "")
        # Where the gateway keeps request ids a repeated one is recognised; where it does not, the reading before the write decides.
        request = hashlib.sha256(order.effect_key.encode()).hexdigest()[:32].upper()
        return {"X-CSRF-Token": token, "If-Match": etag, "RequestID": request}

    def _path(self, order: Order) -> str:
        return wire.key(ORDERS, str(order.payload["order"]))


def _etag(answer: Answer, held: dict[str, Any]) -> str | None:
    metadata = held.get("__metadata")
    inside = metadata.get("etag") if isinstance(metadata, dict) else None
    found = answer.headers.get("etag") or inside
    return str(found) if found else None

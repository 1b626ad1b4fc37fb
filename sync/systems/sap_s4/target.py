"""Changes sales orders: read first, change once, never guess. Takes a credit block away or sets it again, and answers approval requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from sync.connections import Connection
from sync.errors import ConflictError, PermanentError, SourceError, TransientError
from sync.http import Answer, wall_clock
from sync.ports import Order, Receipt
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.csrf import FETCH, Csrf
from sync.systems.sap_s4.odata import text
from sync.systems.sap_s4.refusals import CsrfRequired
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import ORDERS, predicate

_FIELDS = ("SalesOrder", "DeliveryBlockReason", "TotalCreditCheckStatus", "OverallSDDocumentRejectionSts", "LastChangeDateTime")
_APPROVAL = "SalesDocApprovalStatus"
APPROVALS: Mapping[str, str] = {"approve_order": "releaseApprovalRequest", "reject_order": "rejectApprovalRequest"}
"""Kind of effect -> the function of the service that does it."""
KINDS = ("release_order", "block_order", *APPROVALS)


class S4Target:
    """Carries out `release_order`, `block_order`, `approve_order` and `reject_order`. Payload: order (its number); block_reason (default
    the connection's `order_block`): the block that a release takes away or that a compensation sets.
    """

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._settings = settings
        self._session = session
        self._csrf = Csrf(session)
        self._dialect = session.dialect(ORDERS)

    def apply(self, order: Order) -> Receipt:
        """Carries the order out once. `already` when the host shows that it was, `differs` when the sales order waits for something else.

        Raises ConflictError when the order changed between our reading and our writing, PermanentError when the host refuses,
        UnknownOutcome when the write left and no answer came.
        """
        if order.kind not in KINDS:
            raise PermanentError(f"S/4HANA takes no {order.kind}; it takes: {', '.join(KINDS)}", connection=self._connection.name)
        for tries_left in (1, 0):
            answer = self._fetched(order, FETCH)
            held = self._record(answer, order)
            shown = self._compare(order, held)
            if shown.outcome != "absent":
                return shown
            self._csrf.keep(ORDERS.service, answer)
            try:
                written = self._write(order, answer, held)
            except CsrfRequired:
                if not tries_left:
                    raise
                continue  # nothing was done: once more with a new token
            before = {name: held.get(name) for name in (*_FIELDS, _APPROVAL) if name in held}
            return Receipt("applied", reference=_number(order), version=written.headers.get("etag"), detail={"before": before})
        raise AssertionError("the second try returns or raises")

    def read(self, order: Order) -> Receipt:
        """What the host holds: `already` as the order would leave it, `absent` still as it was, `differs` otherwise."""
        return self._compare(order, self._record(self._fetched(order, {}), order))

    def close(self) -> None:
        self._session.close()

    def _write(self, order: Order, answer: Answer, held: Mapping[str, Any]) -> Answer:
        etag = answer.headers.get("etag") or self._dialect.etag(held)
        if not etag:
            raise PermanentError(f"{answer.place}: the host gives no ETag: the order can't be changed safely", subject=order.object_key)
        headers = {"Accept": self._dialect.accept, "Content-Type": "application/json", "If-Match": str(etag), **_once(order)}
        if order.kind in APPROVALS:
            return self._approve(order, headers)
        block = self._block(order) if order.kind == "block_order" else ""
        body = json.dumps(self._dialect.changes({"DeliveryBlockReason": block})).encode()
        path = self._session.path(ORDERS, predicate(_number(order)))
        return self._csrf.send_once("PATCH", ORDERS.service, path, body, headers)

    def _approve(self, order: Order, headers: Mapping[str, str]) -> Answer:
        """Calls the service's function: V2 as a function import with its parameter in the query, V4 as an action of the record."""
        name = APPROVALS[order.kind]
        described = self._session.described(ORDERS.service)
        found = described.actions.get(name.lower()) if described is not None else None
        if described is not None and found is None:
            raise PermanentError(f"{ORDERS.service} has no function {name} on this host", subject=order.object_key)
        root = self._session.address.root(ORDERS.service)
        try:
            if self._dialect.protocol == "v2":
                params = {"SalesOrder": text(_number(order))}
                return self._csrf.send_once("POST", ORDERS.service, f"{root}/{found or name}", b"", headers, params=params)
            action = found or f"SAP__self.{name}"
            path = f"{self._session.path(ORDERS, predicate(_number(order)))}/{action}"
            return self._csrf.send_once("POST", ORDERS.service, path, b"{}", headers)
        except ConflictError:
            raise
        except SourceError as error:
            error.subject = error.subject or order.object_key
            raise

    def _fetched(self, order: Order, headers: Mapping[str, str]) -> Answer:
        fields, _ = self._session.chosen(ORDERS)
        wanted = (*_FIELDS, _APPROVAL) if order.kind in APPROVALS else _FIELDS
        params = {"$select": ",".join(name for name in wanted if name in fields or name in ("SalesOrder", _APPROVAL))}
        if self._dialect.protocol == "v2":
            params["$format"] = "json"
        answer = self._session.get(ORDERS, params, headers, key=predicate(_number(order)), accept=(404,))
        if answer.status == 404:
            raise PermanentError(
                f"{answer.place}: the host knows no order {_number(order)}",
                connection=self._connection.name, subject=order.object_key, status=404,
            )  # fmt: skip
        return answer

    def _record(self, answer: Answer, order: Order) -> dict[str, Any]:
        held = self._dialect.entity(answer.json())
        if held is None or held.get("SalesOrder") != _number(order) or "DeliveryBlockReason" not in held:
            raise TransientError(
                f"{answer.place}: the answer is no sales order", connection=self._connection.name, subject=order.object_key
            )
        return held

    def _compare(self, order: Order, held: dict[str, Any]) -> Receipt:
        block = str(held.get("DeliveryBlockReason") or "").strip()
        rejected = held.get("OverallSDDocumentRejectionSts") == "C"
        detail = {"delivery_block": block, "credit_status": held.get("TotalCreditCheckStatus"), "rejected": rejected}
        if order.kind in APPROVALS:
            detail["approval_status"] = held.get(_APPROVAL)
        outcome = self._outcome(order, block, str(held.get(_APPROVAL) or "").strip(), rejected=rejected)
        return Receipt(outcome, reference=_number(order), version=self._dialect.etag(held), detail=detail)

    def _outcome(self, order: Order, block: str, approval: str, *, rejected: bool) -> Any:
        if order.kind in APPROVALS:
            approved, rejected_ = self._settings.approved_status, self._settings.rejected_status
            if approval == (approved if order.kind == "approve_order" else rejected_):
                return "already"
            return "absent" if approval and approval not in (approved, rejected_) else "differs"
        if order.kind == "block_order":
            if block == self._block(order):
                return "already"
            return "absent" if not block and not rejected else "differs"
        if not block:
            return "already"
        return "absent" if block == self._block(order) and not rejected else "differs"

    def _block(self, order: Order) -> str:
        return str(order.payload.get("block_reason") or self._settings.order_block)


def _number(order: Order) -> str:
    return str(order.payload["order"])


def _once(order: Order) -> dict[str, str]:
    """Where the gateway keeps request ids a repeated one is recognised; where it does not, the reading before the write decides.

    The id is the effect's own, the same at every try; its creation is not, since we keep no other clock than the wall's.
    """
    request = hashlib.sha256(order.effect_key.encode()).hexdigest()[:32].upper()
    created = wall_clock().astimezone(UTC)
    return {"RequestID": request, "RepeatabilityCreation": f"{created:%a, %d %b %Y %H:%M:%S} GMT"}

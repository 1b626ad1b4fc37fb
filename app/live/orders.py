"""A sales order as a person may change it: how it stands in its ERP, what may be asked of it, and what became of what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import sqlalchemy as sa

from app.desk import DeskError, Health, OrderChange, OrderKey, OrderRequest, SalesOrder
from app.live.amounts import shown
from db.engine import Reading
from sync.connections import Landscape
from sync.order_changes import CASE, Change
from sync.policy import takers

_ORDER = """
select o.*, c.name as customer_name from canonical.sales_order o
left join canonical.customer c on c.source = o.source and c.source_key = o.customer_key and not c.is_deleted
where o.source = :source and o.source_key = :key and not o.is_deleted
"""
_REQUESTS = """
select c.id, c.state, c.opened_by, c.opened_at, c.closed_by, c.reason, c.context, d.reasons, e.state as effect, e.error, e.receipt
from process."case" c join process.decision d on d.id = c.decision_id
left join process.effect e on e.case_id = c.id
where c.kind = :kind and c.subject_key = :key and c.context ->> 'source' = :source order by c.opened_at desc, c.id desc limit 10
"""

TITLES = {
    "block_order": "Block order {} again",
    "approve_order": "Release the approval request of order {}",
    "reject_order": "Reject the approval request of order {}",
}
"""What a person may ask of an order (see sync.order_changes), as the title of its case."""
_LABELS = {"block_order": "Block again", "approve_order": "Release its approval request", "reject_order": "Reject its approval request"}
_EFFECTS = {
    "block_order": "{source} sets the delivery block of order {number} again: nothing more of it is delivered until somebody releases it.",
    "approve_order": "{source} releases the approval request of order {number}. If none is open there, nothing is changed.",
    "reject_order": "{source} rejects the approval request of order {number}. If none is open there, nothing is changed.",
}
_OUTCOMES: dict[str, tuple[str, Health, bool]] = {
    "planned": ("approved by {by}; on its way to {source}", "unknown", False),
    "sent": ("approved by {by}; sent to {source}, no answer yet", "unknown", False),
    "unknown": ("approved by {by}; {source} gave no answer, it is read back before anything is tried again", "warning", False),
    "confirmed": ("approved by {by}; done in {source}", "good", True),
    "failed": ("approved by {by}; {source} did not take it: {error}", "bad", True),
}


def order(conn: Reading, landscape: Landscape, key: OrderKey) -> SalesOrder:
    """The order that its ERP calls `key`; DeskError when it is not there or not in the person's regions."""
    row = conn.execute(sa.text(_ORDER), {"source": key.source, "key": key.key}).one_or_none()
    if row is None:
        raise DeskError(f"There is no order {key.key} of {key.source} in your regions.")
    asked = conn.execute(sa.text(_REQUESTS), {"source": key.source, "key": key.key, "kind": CASE})
    return SalesOrder(
        order=key,
        number=row.number,
        customer=row.customer_name or row.customer_key,
        region=row.region,
        amount=shown(row.net_value, row.currency) if row.net_value is not None and row.currency else None,
        state=f"delivery block {row.delivery_block}" if row.delivery_block else "no delivery block",
        changes=_changes(landscape, row),
        requests=[_request(one, key.source) for one in asked],
    )


def _changes(landscape: Landscape, row: Any) -> Sequence[OrderChange]:
    """What its ERP takes; an order that is blocked can't be blocked again."""
    kinds: Sequence[Change] = [
        kind
        for kind in get_args(Change)
        if takers(landscape, kind, source=row.source, region=row.region) and not (kind == "block_order" and row.delivery_block)
    ]
    return [OrderChange(kind, _LABELS[kind], _EFFECTS[kind].format(source=row.source, number=row.number)) for kind in kinds]


def _request(row: Any, source: str) -> OrderRequest:
    words, health, settled = _outcome(row, source)
    return OrderRequest(
        case=row.id,
        words=TITLES[row.context["change"]].format(row.context["number"]),
        asked_by=row.opened_by,
        asked_at=row.opened_at,
        reason="; ".join(reason.partition(": ")[2] or reason for reason in row.reasons),
        outcome=words,
        health=health,
        settled=settled,
    )


def _outcome(row: Any, source: str) -> tuple[str, Health, bool]:
    if row.state == "open":
        return "waits for another person's approval", "warning", False
    if row.state == "rejected":
        return f"rejected by {row.closed_by}: {row.reason}", "unknown", True
    words, health, settled = _OUTCOMES.get(row.effect, ("{state} by {by}", "unknown", True))
    return words.format(by=row.closed_by, source=source, error=row.error or "see the exception queue", state=row.state), health, settled

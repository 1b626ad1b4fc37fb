"""What a person asks of a sales order, and another has to approve: to block it again after its release, to answer its approval request.

No rule ever asks for these. A request opens a case of the kind `order_change`; its approval plans the effect, with both names on it.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from db.engine import Writing
from sync import effects
from sync.connections import Landscape
from sync.policy import takers
from sync.rules.facts import Effect

CASE = "order_change"
RULE = "person"
Change = Literal["block_order", "approve_order", "reject_order"]
WORDS = {
    "block_order": "block the order again",
    "approve_order": "release its approval request",
    "reject_order": "reject its approval request",
}


def request(
    conn: Writing, landscape: Landscape, source: str, order: str, change: Change, *, actor: str, reason: str, now: datetime
) -> dict[str, Any]:
    """Opens the case that asks for a change of an order, named by its source's key or its number; `actor` can't approve it. Returns its
    receipt.

    Raises LookupError when the order is not known, or its system takes no such change. A case that asks the same already is named.
    """
    held = (
        conn.execute(
            sa.text(
                "select o.*, c.name as customer_name, l.party_id from canonical.sales_order o"
                " left join canonical.customer c on c.source = o.source and c.source_key = o.customer_key"
                " left join canonical.identity_link l on l.source = o.source and l.source_key = o.customer_key"
                " where o.source = :source and (o.source_key = :key or o.number = :key) and not o.is_deleted"
                " order by o.source_key = :key desc limit 1"
            ),
            {"source": source, "key": order},
        )
        .mappings()
        .one_or_none()
    )
    if held is None:
        raise LookupError(f"{source} has no order {order} that is known here")
    if not takers(landscape, change, source=source, region=held["region"]):
        raise LookupError(f"{source} takes no {change.replace('_', ' ')}")
    bound = {
        "source": source, "key": held["source_key"], "change": change, "kind": CASE, "rule": RULE, "actor": actor, "reason": f"{WORDS[change]}: {reason}",
        "region": held["region"], "entity": held["legal_entity"], "amount": held["net_value"], "currency": held["currency"], "now": now,
        "party": held["party_id"], "customer": held["customer_name"],
    }  # fmt: skip
    open_case = conn.execute(
        sa.text(
            "select id from process.\"case\" where kind = :kind and state = 'open' and subject_key = :key and context ->> 'source' = :source"
            " and context ->> 'change' = :change"
        ),
        bound,
    ).scalar_one_or_none()
    if open_case is not None:
        return {"case": open_case, "words": f"case {open_case} asks for this already"}
    decision = conn.execute(
        sa.text(
            "insert into process.decision (rule, rule_version, subject_kind, subject_source, subject_key, party_id, region, legal_entity, outcome,"
            " reasons, inputs, amount, currency, decided_at, decided_by) values (:rule, '1', 'order', :source, :key, :party, :region, :entity,"
            " 'hold', array[cast(:reason as text)], cast(:inputs as jsonb), :amount, :currency, :now, :actor) returning id"
        ),
        {**bound, "inputs": json.dumps({"order": {"number": held["number"], "delivery_block": held["delivery_block"]}, "change": change})},
    ).scalar_one()
    context = {"source": source, "subject": "order", "change": change, "number": held["number"], "contract": held["contract_number"],
               "codes": [change], "reasons": [bound["reason"]], "block": held["delivery_block"]}  # fmt: skip
    case = conn.execute(
        sa.text(
            'insert into process."case" (decision_id, kind, region, legal_entity, party_id, customer_name, subject_key, amount, currency, state,'
            " opened_at, opened_by, context) values (:decision, :kind, :region, :entity, :party, :customer, :key, :amount, :currency, 'open', :now,"
            " :actor, cast(:context as jsonb))"
            " returning id"
        ),
        {**bound, "decision": decision, "context": json.dumps(context)},
    ).scalar_one()
    return {"case": case, "words": f"case {case} asks to {WORDS[change]}: another person has to approve it"}


def plans(landscape: Landscape, case: sa.RowMapping, *, decision_id: int, actor: str) -> list[effects.Plan]:
    """The effect that an approved case plans: once for each case, whatever its order went through before."""
    source, change = str(case["context"]["source"]), case["context"]["change"]
    effect = Effect(
        kind=change,
        object_key=case["subject_key"],
        subject=case["subject_key"],
        version=str(case["id"]),
        source=source,
        payload={"order": case["context"]["number"], "case": case["id"]},
    )
    asked = {"decision_id": decision_id, "case_id": case["id"], "requested_by": case["opened_by"], "approved_by": actor}
    return effects.planned([effect], landscape, case["region"], asked)

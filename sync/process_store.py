"""Writes down what was decided: decisions with their inputs, the cases they open or settle, and the effects they plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.engine import Writing
from db.schema import process
from sync import effects
from sync.connections import Landscape
from sync.process_situation import Event, Situation
from sync.rules.facts import Decision

CASE_KINDS = {"order_to_cash": "credit_hold", "exposure": "exposure_breach"}
"""The kind of case that each rule opens when it holds something."""

_HOLDS = ("hold", "breached")


def store(
    conn: Writing, landscape: Landscape, situation: Situation, decided: Sequence[tuple[Event, Decision]], *, now: datetime
) -> set[str]:
    """Stores the decisions, moves their cases, plans their effects; returns the connections that have something to deliver."""
    kept = [(event, decision) for event, decision in decided if decision.outcome not in ("none", "cleared")]
    ids = _decisions(conn, kept, now)
    plans = []
    for (_, decision), decision_id in zip(kept, ids, strict=True):
        asked = {"decision_id": decision_id, "requested_by": f"rule:{decision.rule}"}
        plans += effects.planned(decision.effects, landscape, decision.region, asked)
    holds = [(decision, number) for (_, decision), number in zip(kept, ids, strict=True) if decision.outcome in _HOLDS]
    _open(conn, situation, holds, now)
    settled = [decision for _, decision in decided if decision.outcome in ("release", "none", "cleared")]
    _obsolete(conn, settled, now)
    return effects.plan(conn, plans, now=now)


def _decisions(conn: Writing, decided: Sequence[tuple[Event, Decision]], now: datetime) -> list[int]:
    if not decided:
        return []
    rows = [
        {
            "rule": decision.rule,
            "rule_version": decision.version,
            "event_id": event.id,
            "subject_kind": decision.subject_kind,
            "subject_source": decision.subject_source,
            "subject_key": decision.subject_key,
            "party_id": decision.party_id,
            "region": decision.region,
            "legal_entity": decision.legal_entity,
            "outcome": decision.outcome,
            "reasons": [str(reason) for reason in decision.reasons],
            "inputs": decision.inputs,
            "amount": decision.amount,
            "currency": decision.currency,
            "decided_at": now,
            "decided_by": f"rule:{decision.rule}",
        }
        for event, decision in decided
    ]
    statement = sa.insert(process.decision).returning(process.decision.c.id, sort_by_parameter_order=True)
    return list(conn.execute(statement, rows).scalars())


# One open case per subject: a further hold brings it up to date, so that whoever opens it sees what holds today.
_UPDATE_CASE = """
update process."case" set decision_id = :decision_id, amount = :amount, currency = :currency, context = cast(:context as jsonb),
  customer_name = :customer_name
where kind = :kind and subject_key = :subject_key and context ->> 'source' = :source and state = 'open'
"""

_OPEN_CASE = """
insert into process."case" (decision_id, kind, region, legal_entity, party_id, customer_name, subject_key, amount, currency, state,
  opened_at, opened_by, context)
values (:decision_id, :kind, :region, :legal_entity, :party_id, :customer_name, :subject_key, :amount, :currency, 'open', :now, :opened_by,
  cast(:context as jsonb))
on conflict on constraint uq_case_once do nothing
"""


def _open(conn: Writing, situation: Situation, holds: Sequence[tuple[Decision, int]], now: datetime) -> None:
    for decision, decision_id in holds:
        party = None if decision.party_id is None else situation.parties.get(decision.party_id)
        context: dict[str, Any] = {
            "source": decision.subject_source,
            "subject": decision.subject_kind,
            "codes": [reason.code for reason in decision.reasons],
            "reasons": [reason.words for reason in decision.reasons],
            "number": decision.inputs.get("order", {}).get("number", decision.subject_key),
            "contract": decision.inputs.get("order", {}).get("contract_number"),
        }
        values = {
            "decision_id": decision_id,
            "kind": CASE_KINDS[decision.rule],
            "region": decision.region,
            "legal_entity": decision.legal_entity,
            "party_id": decision.party_id,
            "customer_name": decision.inputs.get("name") if party is None else party.name,
            "subject_key": decision.subject_key,
            "source": decision.subject_source,
            "amount": decision.amount,
            "currency": decision.currency,
            "opened_by": f"rule:{decision.rule}",
            "context": json.dumps(context),
            "now": now,
        }
        if conn.execute(sa.text(_UPDATE_CASE), values).rowcount == 0:
            conn.execute(sa.text(_OPEN_CASE), values)


def _obsolete(conn: Writing, settled: Sequence[Decision], now: datetime) -> None:
    """What was held and needs nobody any more: its open case is closed by itself, with the reason."""
    rows = [
        {
            "kind": CASE_KINDS[decision.rule],
            "source": decision.subject_source,
            "subject_key": decision.subject_key,
            "reason": "; ".join(reason.words for reason in decision.reasons),
            "now": now,
        }
        for decision in settled
        if decision.rule in CASE_KINDS
    ]
    if rows:
        conn.execute(
            sa.text(
                "update process.\"case\" set state = 'obsolete', closed_at = :now, reason = :reason"
                " where kind = :kind and subject_key = :subject_key and context ->> 'source' = :source and state = 'open'"
            ),
            rows,
        )

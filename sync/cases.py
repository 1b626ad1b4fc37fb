"""Cases: what a rule held for a person, and the person's word on it. Whoever asked can't approve; every word has its reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from db.engine import Writing
from sync import audit, deferral, effects, order_changes, process_facts
from sync.connections import Landscape
from sync.permissions import Forbidden
from sync.rules.facts import from_inputs
from sync.rules.order_to_cash import VERSION, OrderToCash, release_effects


def resolve(conn: Writing, landscape: Landscape, case_id: int, *, approve: bool, actor: str, reason: str, now: datetime) -> dict[str, Any]:
    """Closes the case with `actor`'s word; an approved credit hold plans the release of its order and its forecast.

    Returns what happened, for the receipt. The order is looked at again: one that no longer waits makes the case obsolete.
    Raises Forbidden when `actor` opened the case, LookupError when there is none.
    """
    case = conn.execute(sa.text('select * from process."case" where id = :id for update'), {"id": case_id}).mappings().one_or_none()
    if case is None:
        raise LookupError(f"there is no case {case_id}")
    if case["state"] != "open":
        return {"state": case["state"], "words": f"the case was {case['state']} before"}
    if case["opened_by"] == actor:
        raise Forbidden("whoever asked for it can't approve it")
    planned: list[str] = []
    state = "approved" if approve else "rejected"
    if approve and case["kind"] == "credit_hold":
        keys = _release(conn, landscape, case, actor, reason, now)
        if keys is None:
            state = "obsolete"
        else:
            planned = keys
    elif approve and case["kind"] == order_changes.CASE:
        planned = _change(conn, landscape, case, actor, reason, now)
    elif case["kind"] == "credit_hold":
        _word(conn, case, "rejected", actor, reason, now)
    by = None if state == "obsolete" else actor
    words = "the order no longer waits for a credit decision" if state == "obsolete" else reason
    conn.execute(
        sa.text('update process."case" set state = :state, closed_at = :now, closed_by = :by, reason = :reason where id = :id'),
        {"id": case_id, "state": state, "now": now, "by": by, "reason": words},
    )
    audit.write(
        conn,
        chain=case["region"],
        at=now,
        actor=actor,
        action=f"case_{state}",
        subject_kind="case",
        subject_key=str(case_id),
        reason=reason,
        detail={"subject": case["subject_key"], "effects": planned},
    )
    return {"state": state, "effects": planned, "words": words}


def _release(conn: Writing, landscape: Landscape, case: sa.RowMapping, actor: str, reason: str, now: datetime) -> list[str] | None:
    """Plans what the approval releases, on the order as it is now; None when it no longer waits."""
    key = (str(case["context"]["source"]), str(case["subject_key"]))
    if case["party_id"] is not None:
        process_facts.lock_parties(conn, [case["party_id"]])
    orders = process_facts.orders(conn, [key])
    if not orders or not orders[0].is_credit_blocked:
        return None
    inputs = conn.execute(sa.text("select inputs from process.decision where id = :id"), {"id": case["decision_id"]}).scalar_one()
    subject = f"order:{key[0]}:{key[1]}"
    published = tuple(process_facts.published(conn, [subject]).get(subject, ()))
    facts = msgspec.structs.replace(from_inputs(inputs, OrderToCash), now=now, order=orders[0], published=published)
    decision_id = _word(conn, case, "approved", actor, reason, now)
    asked = {"decision_id": decision_id, "case_id": case["id"], "requested_by": case["opened_by"], "approved_by": actor}
    plans = effects.planned(release_effects(facts), landscape, case["region"], asked)
    for connection in sorted(effects.plan(conn, plans, now=now)):
        deferral.deliver(conn, connection, region=landscape.connection(connection).region)
    return [plan.effect_key for plan in plans]


def _change(conn: Writing, landscape: Landscape, case: sa.RowMapping, actor: str, reason: str, now: datetime) -> list[str]:
    """Plans the change of an order that a person asked for and this one approves."""
    plans = order_changes.plans(landscape, case, decision_id=_word(conn, case, "approved", actor, reason, now), actor=actor)
    for connection in sorted(effects.plan(conn, plans, now=now)):
        deferral.deliver(conn, connection, region=landscape.connection(connection).region)
    return [plan.effect_key for plan in plans]


def _word(conn: Writing, case: sa.RowMapping, outcome: str, actor: str, reason: str, now: datetime) -> int:
    """The person's decision, kept beside the rule's, with the same inputs."""
    return int(
        conn.execute(
            sa.text(
                "insert into process.decision (rule, rule_version, subject_kind, subject_source, subject_key, party_id, region,"
                " legal_entity, outcome, reasons, inputs, amount, currency, decided_at, decided_by)"
                " select d.rule, :version, d.subject_kind, d.subject_source, d.subject_key, d.party_id, d.region, d.legal_entity,"
                "  :outcome, array[cast(:reason as text)], d.inputs, d.amount, d.currency, :now, :actor"
                " from process.decision d where d.id = :decision returning id"
            ),
            {
                "version": VERSION,
                "outcome": outcome,
                "reason": f"person: {reason}",
                "now": now,
                "actor": actor,
                "decision": case["decision_id"],
            },
        ).scalar_one()
    )


def confirm_identity(conn: Writing, source: str, source_key: str, party_id: int, *, actor: str, reason: str, now: datetime) -> str:
    """A person says which party a customer record is; returns the party's region. What waited for it is closed.

    Raises LookupError when there is no such customer record or party.
    """
    region = conn.execute(
        sa.text(
            "insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, confirmed_by, confirmed_at,"
            " evidence, recorded_at) select c.source, c.source_key, p.id, p.region, 'person', 1, :actor, :now,"
            " array[cast(:reason as text)], :now from canonical.customer c, canonical.party p"
            " where c.source = :source and c.source_key = :key and p.id = :party"
            " on conflict (source, source_key) do update set party_id = excluded.party_id, region = excluded.region,"
            " matched_by = excluded.matched_by, confidence = 1, confirmed_by = excluded.confirmed_by, confirmed_at = excluded.confirmed_at,"
            " evidence = excluded.evidence returning region"
        ),
        {"actor": actor, "now": now, "reason": reason, "source": source, "key": source_key, "party": party_id},
    ).scalar_one_or_none()
    if region is None:
        raise LookupError(f"there is no customer {source_key} of {source}, or no party {party_id}")
    conn.execute(
        sa.text(
            "update process.exception set state = 'resolved', resolved_at = :now, resolution = 'linked by ' || cast(:actor as text)"
            " where cause = 'ambiguous_identity' and connection = :source and source_key = :key and state not in ('resolved', 'dismissed')"
        ),
        {"now": now, "actor": actor, "source": source, "key": source_key},
    )
    return str(region)

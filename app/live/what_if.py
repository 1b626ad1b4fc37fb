"""What if this customer signed for so much more: the rule itself answers, over the facts as they are, and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.desk import DeskError, WhatIf
from db.engine import Reading
from metrics import reads
from sync import policy, process_facts
from sync.connections import Landscape
from sync.rules import order_to_cash
from sync.rules.facts import Order, Party
from sync.systems.registry import takes


def what_if(conn: Reading, landscape: Landscape, party_id: int, amount: Decimal, currency: str, *, now: datetime) -> WhatIf:
    """The decision on an order of `amount` in `currency` for the party. DeskError when the party is not there or not to be seen."""
    erps = {connection.name for connection in landscape.connections if "release_order" in takes(connection)}
    party = process_facts.parties(conn, [party_id], today=now.date(), erps=erps).get(party_id)
    before = reads.exposures(conn, reporting_currency=landscape.reporting_currency, parties=[party_id])
    if party is None or before.is_empty():
        raise DeskError("This customer is not there, or not in your regions.")
    facts = order_to_cash.OrderToCash(
        now=now,
        terms=policy.terms(landscape),
        rates=process_facts.rates(conn, landscape.reporting_currency, now.date()),
        order=_asked(conn, party, amount, currency),
        party=party,
    )
    decision = order_to_cash.decide(facts)
    row = before.row(0, named=True)
    more = facts.rates.convert(amount, currency)
    return WhatIf(
        outcome="release" if decision.outcome == "release" else "hold",
        reasons=tuple(reason.words for reason in decision.reasons),
        before=_state(row["exposure"], row["credit_limit"], landscape.reporting_currency),
        after=_state(row["exposure"] + more if more is not None else None, row["credit_limit"], landscape.reporting_currency),
    )


def _asked(conn: Reading, party: Party, amount: Decimal, currency: str) -> Order:
    linked = conn.execute(
        sa.text("select source, source_key from canonical.identity_link where party_id = :party order by confidence desc, source limit 1"),
        {"party": party.id},
    ).first()
    return Order(
        source=linked.source if linked else "what-if",
        key="what-if",
        number="what-if",
        customer_key=linked.source_key if linked else "",
        region=party.region,
        version=0,
        episode=0,
        net_value=amount,
        currency=currency,
        credit_status="blocked",
    )


def _state(exposure: Decimal | None, limit: Decimal | None, currency: str) -> Mapping[str, Any]:
    used = f"{exposure / limit:.0%}" if exposure is not None and limit else "no limit"
    return {
        "exposure": f"{exposure:,.2f} {currency}" if exposure is not None else "no reference rate",
        "credit limit": f"{limit:,.2f} {currency}" if limit is not None else "none",
        "utilisation": used,
    }

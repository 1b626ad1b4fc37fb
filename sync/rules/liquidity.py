"""Will there be enough: the cash of a currency against the minimum that treasury wants to keep."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sync.rules.facts import ZERO, Decision, Fact, Reason, to_inputs

RULE = "liquidity"
VERSION = "1"


class Week(Fact, frozen=True, kw_only=True):
    """Net cash expected in the week that begins on `start`."""

    start: date
    net: Decimal


class Liquidity(Fact, frozen=True, kw_only=True):
    """Today's cash of one currency in one region, the weeks to come, and the minimum to keep."""

    region: str
    currency: str
    on: date
    position: Decimal
    minimum: Decimal
    weeks: tuple[Week, ...] = ()


def decide(facts: Liquidity) -> Decision:
    """Outcome alert when the position is, or within the weeks given falls, below the minimum; else enough."""
    running, short = facts.position, None
    if running < facts.minimum:
        short = (facts.on, running)
    for week in sorted(facts.weeks, key=lambda entry: entry.start):
        running += week.net
        if short is None and running < facts.minimum:
            short = (week.start, running)
    if short is None:
        reason = Reason(code="enough", words=f"{facts.currency} stays above its minimum of {facts.minimum:,.2f}")
    else:
        gap = facts.minimum - short[1]
        reason = Reason(
            code="below_minimum", words=f"{facts.currency} is {gap:,.2f} below its minimum of {facts.minimum:,.2f} on {short[0]}"
        )
    return Decision(
        rule=RULE,
        version=VERSION,
        subject_kind="currency",
        subject_source="tidegate",
        subject_key=facts.currency,
        region=facts.region,
        outcome="enough" if short is None else "alert",
        inputs=to_inputs(facts),
        reasons=(reason,),
        amount=ZERO if short is None else facts.minimum - short[1],
        currency=facts.currency,
    )

"""What a customer owes and is about to owe, against its limit; and what a breach of it calls for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from sync.rules.facts import ZERO, Decision, Fact, Limit, Party, Rates, Reason, to_inputs

RULE = "exposure"
VERSION = "1"

LimitState = Literal["valid", "none", "expired", "zero", "blocked"]
_COUNTED = ("open_orders", "open_deliveries", "open_receivables", "reserved")


class Standing(Fact, frozen=True, kw_only=True):
    """Exposure, limit and receivables of one party in the reporting currency; `missing_rate` names a currency without one."""

    exposure: Decimal
    receivables: Decimal
    overdue: Decimal
    limit_state: LimitState
    limit: Decimal | None = None
    missing_rate: str | None = None


def standing(party: Party, rates: Rates, today: date) -> Standing:
    """Where `party` stands today. Of several limits the smallest valid one counts (the worst segment); securities reduce exposure."""
    missing: list[str] = []

    def reporting(amount: Decimal, currency: str) -> Decimal:
        converted = rates.convert(amount, currency)
        if converted is None:
            missing.append(currency)
            return ZERO
        return converted

    sums = [(s.kind, reporting(s.amount, s.currency)) for s in party.sums]
    secured = sum((reporting(entry.secured, entry.currency) for entry in party.limits if entry.secured and entry.currency), ZERO)
    state, limit = _limit(party.limits, today, reporting)
    return Standing(
        exposure=max(sum((amount for kind, amount in sums if kind in _COUNTED), ZERO) - secured, ZERO),
        receivables=sum((amount for kind, amount in sums if kind == "open_receivables"), ZERO),
        overdue=sum((amount for kind, amount in sums if kind == "overdue"), ZERO),
        limit_state=state,
        limit=limit,
        missing_rate=missing[0] if missing else None,
    )


def _limit(limits: tuple[Limit, ...], today: date, reporting: Callable[[Decimal, str], Decimal]) -> tuple[LimitState, Decimal | None]:
    if any(limit.is_blocked for limit in limits):
        return "blocked", None
    if all(limit.amount is None or limit.currency is None for limit in limits):
        return "none", None
    valid = [
        reporting(limit.amount, limit.currency)
        for limit in limits
        if limit.amount is not None
        and limit.currency is not None
        and (limit.valid_to is None or limit.valid_to >= today)
        and (limit.valid_from is None or limit.valid_from <= today)
    ]
    if not valid:
        return "expired", None
    smallest = min(valid)
    return ("zero", ZERO) if smallest <= 0 else ("valid", smallest)


class Breach(Fact, frozen=True, kw_only=True):
    """A breach episode as the measures found it, amounts in `currency`."""

    party_id: int
    name: str
    region: str
    currency: str
    latest: Decimal
    limit: Decimal | None
    opened_at: datetime
    cleared_at: datetime | None = None


def decide(breach: Breach) -> Decision:
    """A standing breach calls for a person (outcome "breached"); one that is over needs nobody (outcome "cleared")."""
    over = breach.cleared_at is None
    limit = "no limit" if breach.limit is None else f"a limit of {breach.limit:,.2f} {breach.currency}"
    words = f"{breach.name} stands at {breach.latest:,.2f} {breach.currency} against {limit}"
    return Decision(
        rule=RULE,
        version=VERSION,
        subject_kind="customer",
        subject_source="tidegate",
        subject_key=str(breach.party_id),
        region=breach.region,
        outcome="breached" if over else "cleared",
        inputs=to_inputs(breach),
        reasons=(Reason(code="over_limit" if over else "within_limit", words=words),),
        party_id=breach.party_id,
        amount=breach.latest,
        currency=breach.currency,
    )

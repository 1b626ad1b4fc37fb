"""The policy of the connections file as the rules take it, and who takes which effect."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sync.connections import ConfigError, Connection, Landscape
from sync.rules.facts import Terms
from sync.systems.registry import role, takes


def terms(landscape: Landscape) -> Terms:
    """The landscape's policy; ConfigError when a share is no number."""
    policy = landscape.policy
    try:
        utilisation, overdue = Decimal(policy.max_utilisation), Decimal(policy.max_overdue_share)
    except ArithmeticError as error:
        raise ConfigError('[policy]: max_utilisation and max_overdue_share are decimal numbers as text, such as "1.00"') from error
    return Terms(
        max_utilisation=utilisation,
        max_overdue_share=overdue,
        max_median_days_late=policy.max_median_days_late,
        expected_cash_days=policy.expected_cash_days,
        max_input_age_minutes=policy.max_input_age_minutes,
    )


def able(landscape: Landscape, kind: str) -> Sequence[Connection]:
    """The connections that carry out `kind`; where CRMs are among them these alone, so that an ERP that could too does not take their place."""
    every = [connection for connection in landscape.connections if kind in takes(connection)]
    return [connection for connection in every if role(connection) == "crm"] or every


def takers(landscape: Landscape, kind: str, *, source: str | None = None, region: str | None = None) -> Sequence[str]:
    """The connections that carry out `kind`: of an order its own ERP, else every taker that speaks for `region` (or for all)."""
    connections = able(landscape, kind)
    if source is not None:
        return [connection.name for connection in connections if connection.name == source]
    local = [connection.name for connection in connections if connection.region == region]
    return local[:1] or [connection.name for connection in connections][:1]

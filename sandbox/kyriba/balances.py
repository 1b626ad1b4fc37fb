"""Balances of an account: treasury's cash position by day, and what the bank said of a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sandbox.kyriba.objects import named
from sandbox.world.engine import World
from sandbox.world.model import ZERO
from sandbox.world.operations import Refused
from sandbox.world.reference import BankAccount


def cash_balances(world: World, account: BankAccount, asked: Mapping[str, str]) -> dict[str, Any]:
    """The answer to a window of at most 31 days. Refused names the parameter that is wrong."""
    try:
        start, end = date.fromisoformat(asked["startDate"]), date.fromisoformat(asked["endDate"])
    except (KeyError, ValueError):
        raise Refused("InvalidDate", "startDate and endDate are required, YYYY-MM-DD", "startDate") from None
    if end < start or (end - start).days > 31:
        raise Refused("InvalidPeriod", "the period between startDate and endDate is 31 days at most", "endDate")
    kind = asked.get("dateType", "VALUE")
    if kind not in ("VALUE", "TRANSACTION"):
        raise Refused("InvalidDateType", "dateType is VALUE or TRANSACTION", "dateType")
    statuses = {n: asked.get(n, "true" if n == "actual" else "false").lower() == "true"
                for n in ("actual", "intraday", "confirmedForecasts", "estimatedForecasts")}  # fmt: skip
    shown = [{"account": named(account), "amount": amount, "date": str(day), "dateType": kind, "currencyCode": account.currency,
              "cashFlowStatus": statuses} for day, amount in _by_day(world, account, start, end, statuses)]  # fmt: skip
    return {"account": named(account), "cashBalance": shown}


def _by_day(world: World, account: BankAccount, start: date, end: date, statuses: dict[str, bool]) -> list[tuple[date, Decimal]]:
    """End-of-day balances of some days: closed days as closed; today only intraday; later days only with forecasts."""
    closed, today = world.closings[account.code], world.now.date()
    rows: list[tuple[date, Decimal]] = []
    wanted = {s for s, n in (("CONFIRMED", "confirmedForecasts"), ("ESTIMATED", "estimatedForecasts")) if statuses[n]}
    planned: dict[date, Decimal] = {}
    for flow in world.flows.values() if wanted else ():
        if flow.account == account.code and flow.status in wanted and not flow.deleted:
            planned[flow.value_date] = planned.get(flow.value_date, ZERO) + flow.amount
    running = world.balance(account.code) + sum(v for d, v in planned.items() if today <= d < start)
    for offset in range((end - start).days + 1):
        day = start + timedelta(days=offset)
        if day in closed:
            rows.append((day, closed[day]))
        elif day >= today and (wanted or (statuses["intraday"] and day == today)):
            running += planned.get(day, ZERO)
            rows.append((day, running))
    return rows


def bank_balance(world: World, account: BankAccount, asked: Mapping[str, str]) -> dict[str, Any] | None:
    """What the bank said of a day: its end, or its standing so far. Where it said nothing, the last balance that is known within a
    year, with its day; None without any. Refused names the parameter that is wrong.
    """
    kind = asked.get("type", "END_OF_DAY")
    if kind not in ("END_OF_DAY", "INTRADAY"):
        raise Refused("InvalidType", "type is END_OF_DAY or INTRADAY", "type")
    try:
        day = date.fromisoformat(asked["date"])
    except (KeyError, ValueError):
        raise Refused("InvalidDate", "date is required, YYYY-MM-DD", "date") from None
    if kind == "INTRADAY":
        if day != world.now.date():
            return None
        told: dict[str, Any] = {"amount": world.balance(account.code), "balanceDate": str(day), "currencyCode": account.currency}
        return {"account": named(account), "bankBalance": told}
    known = [d for d in world.closings[account.code] if day - timedelta(days=365) <= d <= day and d.weekday() < 5]
    if not known:
        return None
    last = max(known)
    return {"account": named(account), "bankBalance": {
        "amount": world.closings[account.code][last], "balanceDate": str(day), "currencyCode": account.currency,
        "lastKnownBalanceDate": str(last),
    }}  # fmt: skip

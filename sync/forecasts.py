"""What an order to publish a forecast says, whichever treasury it goes to: its reference, its day, its amount, its account. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from sync.errors import PermanentError
from sync.ports import Order

REFERENCE_PREFIX = "TG-"
"""With what the references of our own forecasts begin: measures leave them out when treasury tells them back."""


def reference_of(effect_key: str, said: Any = None) -> str:
    """The reference of our forecast: the payload's own, or a digest of the effect's permanent key; the same for ever."""
    if isinstance(said, str) and said.startswith(REFERENCE_PREFIX):
        return said
    return REFERENCE_PREFIX + hashlib.sha256(effect_key.encode()).hexdigest()[:24]


def order_reference(order: Order) -> str:
    """The reference under which an order's forecast is published."""
    return reference_of(order.effect_key, order.payload.get("reference"))


def order_day(order: Order) -> str:
    """The day on which the money is expected, as an ISO date. PermanentError when it is none."""
    try:
        return date.fromisoformat(str(order.payload["expected_date"])).isoformat()
    except ValueError:
        raise PermanentError(f"the date {order.payload['expected_date']!r} is none", subject=order.object_key) from None


def finite(said: Any) -> Decimal | None:
    """An amount as it was said, in units of its currency; None where it is no finite number."""
    try:
        amount = Decimal(str(said))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def order_account(order: Order, named: Mapping[str, str], fitting: Callable[[Any, Any], Iterable[str]], *, connection: str) -> str:
    """The account to forecast on: the payload's, the one that `named` has for "<legal entity>:<currency>", or the first of those that
    `fitting` finds in treasury for legal entity and currency. PermanentError when there is none.
    """
    company, currency = order.payload.get("company"), order.payload["currency"]
    chosen = order.payload.get("account") or named.get(f"{company}:{currency}")
    if chosen:
        return str(chosen)
    found = min(fitting(company, currency), default=None)
    if found is None:
        raise PermanentError(
            f"treasury lists no account of {company} in {currency}: open one, or name one in forecast_accounts",
            connection=connection, subject=order.object_key,
        )  # fmt: skip
    return found

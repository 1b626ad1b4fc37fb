"""Which exceptions a person means: a frozen filter that travels in a URL and in a command. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

ANY = "any"
"""The state that leaves none out; "open" are those that need somebody."""


class ExceptionFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Empty parts mean any. `text` is looked for in message, key and customer; `min_money` is in the reporting currency."""

    state: str = "open"
    cause: str | None = None
    fingerprint: str | None = None
    connection: str | None = None
    region: str | None = None
    entity: str | None = None
    customer: str | None = None
    owner: str | None = None
    min_money: Decimal | None = None
    text: str | None = None

    def to_query(self) -> dict[str, str]:
        """As URL parameters: only what is not the default."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {name: str(value) for name, value in found.items()}

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> ExceptionFilter:
        """Out of URL parameters; unknown ones and an unreadable amount are left out, since a link may be old or mistyped."""
        known = {name: value for name, value in query.items() if name in cls.__struct_fields__ and value != ""}
        amount = known.pop("min_money", None)
        money: Decimal | None = None
        if amount is not None:
            try:
                money = Decimal(amount)
            except InvalidOperation:
                money = None
        return cls(**known, min_money=money if money is None or money.is_finite() else None)

    def where(self, alias: str = "e") -> tuple[str, dict[str, Any]]:
        """The condition over process.exception as `alias`, and what is bound in it. Values are always bound, never spliced."""
        parts: list[str] = []
        bound: dict[str, Any] = {}
        if self.state == "open":
            parts.append(f"{alias}.state not in ('resolved', 'dismissed')")
        elif self.state != ANY:
            parts.append(f"{alias}.state = :f_state")
            bound["f_state"] = self.state
        for name in ("cause", "fingerprint", "connection", "region", "entity", "owner"):
            if getattr(self, name) is not None:
                parts.append(f"{alias}.{name} = :f_{name}")
                bound[f"f_{name}"] = getattr(self, name)
        if self.customer is not None:
            parts.append(f"(coalesce({alias}.customer_name, '') ilike :f_customer or {alias}.customer_key = :f_customer_key)")
            bound |= {"f_customer": _like(self.customer), "f_customer_key": self.customer}
        if self.min_money is not None:
            parts.append(f"{alias}.money_at_risk_reporting >= :f_min_money")
            bound["f_min_money"] = self.min_money
        if self.text is not None:
            columns = ("message", "source_key", "customer_name", "customer_key")
            parts.append("(" + " or ".join(f"coalesce({alias}.{name}, '') ilike :f_text" for name in columns) + ")")
            bound["f_text"] = _like(self.text)
        return " and ".join(parts) or "true", bound


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"

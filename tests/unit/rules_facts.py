"""Facts for the rules' unit tests: one customer in good standing, and what a test is about changed on it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from sync.rules.facts import Limit, Order, Party, Rates, SalesContract, Sum, Terms
from sync.rules.order_to_cash import OrderToCash

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TERMS = Terms(
    max_utilisation=Decimal("1.00"),
    max_overdue_share=Decimal("0.30"),
    max_median_days_late=30,
    expected_cash_days=90,
    max_input_age_minutes=1440,
)
RATES = Rates(reporting="EUR", on=date(2026, 3, 2), units_per_eur={"USD": Decimal("1.25"), "JPY": Decimal(160)})
CONTRACT = SalesContract(source="crm", key="800", number="C-1", status="activated", region="EMEA")
ORDER = Order(
    source="erp", key="512", number="512", customer_key="1000", region="EMEA", version=1, episode=1, contract_number="C-1",
    net_value=Decimal("40000.00"), currency="EUR", credit_status="blocked", delivery_block="01", status="open", legal_entity="DE01",
)  # fmt: skip
PARTY = Party(
    id=7, name="Customer 1000", region="EMEA", number="1000", terms_days=30,
    limits=(Limit(amount=Decimal(100000), currency="EUR"),),
    sums=(Sum(kind="open_receivables", currency="EUR", amount=Decimal(20000)), Sum(kind="overdue", currency="EUR", amount=Decimal(0))),
    median_days_late=3, cleared_invoices=12, complete_until=NOW,
)  # fmt: skip


def facts(*, order: dict[str, Any] | None = None, party: dict[str, Any] | None = None, **more: Any) -> OrderToCash:
    """The good case with these fields of the order, the party or the facts themselves changed."""
    base = OrderToCash(now=NOW, terms=TERMS, rates=RATES, order=ORDER, contract=CONTRACT, party=PARTY)
    changed = {"order": msgspec.structs.replace(ORDER, **(order or {})), "party": msgspec.structs.replace(PARTY, **(party or {}))}
    return msgspec.structs.replace(base, **{**changed, **more})

"""Balances in several currencies: each at its own rate into the reporting currency."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from db.engine import reading, writing
from metrics import reads, refresh
from metrics.frames import NOW as AS_IT_IS
from metrics.frames import render
from tests.postgres.metrics_facts import Facts, moment

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = date(2026, 3, 1)


def test_every_balance_is_converted_at_its_own_currencys_rate(engine: sa.Engine) -> None:
    """Yen, dollars and euros meet in the reporting currency by their own rates, now and as known then; none without a rate."""
    with writing(engine) as conn:
        facts = Facts(conn)
        for currency, rate in (("USD", "1.25"), ("JPY", "160"), ("GBP", "0.80")):
            facts.rate(currency, date(2026, 2, 27), rate)
        for account, amount, currency in (("A", "100", "EUR"), ("B", "100", "USD"), ("C", "16000", "JPY"), ("D", "5", "MXN")):
            facts.put("bank_balance", account, account=account, balance_type="closing_booked", as_of_date=DAY, amount=Decimal(amount),
                      currency=currency, changed_at=moment(DAY, 1))  # fmt: skip
    refresh.run(engine, now=NOW, reporting_currency="EUR")
    with reading(engine) as conn:
        for known_at in (None, NOW):
            frame = reads.positions(conn, reporting_currency="EUR", known_at=known_at)
            assert dict(zip(frame["account"], frame["amount_reporting"], strict=True)) == {"A": 100, "B": 80, "C": 100, "D": None}
        kept = conn.execute(sa.text("select account, amount_reporting from measure.cash_position order by account")).all()
        assert [tuple(row) for row in kept] == [("A", 100), ("B", 80), ("C", 100), ("D", None)]


def test_a_rate_of_a_bare_column_is_refused() -> None:
    """`rate(currency, day)` would read the rate table's own currency: it must name the table it means."""
    with pytest.raises(ValueError, match="name the table"):
        render("select {rate(currency, day)} from x", AS_IT_IS)

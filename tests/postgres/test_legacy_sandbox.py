"""The legacy ERP's file server through the whole pipeline: facts to the cent, nothing twice, whatever becomes of a pull on its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

import sandbox
from sync.verify import verify
from tests.postgres.sandbox_house import SandboxHouse, furnish

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
LEGACY = "legacy-latam"


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path) -> Iterator[SandboxHouse]:
    with sandbox.running(tmp_path / "sandbox", customers=12, history_days=60, start_at=OPENED) as box:
        yield furnish(engine, box)


def told(house: SandboxHouse) -> tuple[dict[str, tuple[int, Decimal]], set[tuple[str, Decimal]]]:
    """By the world itself: currency -> how many documents there are and what is open; and each customer's limit."""
    truth = house.ask("/control/truth")
    found: dict[str, tuple[int, Decimal]] = {}
    for row in truth["invoices"]:
        if row["legal_entity"] == "MX01":
            count, left = found.get(row["currency"], (0, Decimal(0)))
            found[row["currency"]] = count + row["count"], left + Decimal(row["open"])
    return found, {(row["customer"], Decimal(row["limit"])) for row in truth["limits"] if row["legal_entity"] == "MX01"}


def held(house: SandboxHouse) -> tuple[dict[str, tuple[int, Decimal]], set[tuple[str, Decimal]]]:
    """The same by our own facts."""
    rows = house.rows(
        "select i.currency, count(*) as n, sum(i.gross - coalesce(a.amount, 0)) as open from canonical.invoice i left join"
        " (select source, invoice_key, sum(amount) as amount from canonical.payment_application where not is_deleted group by 1, 2) a"
        " on a.source = i.source and a.invoice_key = i.source_key where i.source = :source and not i.is_deleted group by 1",
        source=LEGACY,
    )
    limits = house.rows(
        "select c.number, l.limit_amount from canonical.credit_limit l join canonical.customer c on c.source = l.source"
        " and c.source_key = l.customer_key where l.source = :source",
        source=LEGACY,
    )
    return {row.currency: (row.n, row.open) for row in rows}, {(row.number, row.limit_amount) for row in limits}


def test_the_server_is_the_world_and_nothing_is_counted_twice(house: SandboxHouse) -> None:
    """Files cut on their way, an outage, the same file again: then the world's own figures, and `verify` is clean."""
    house.ask("/control/faults", {"system": LEGACY, "kind": "truncated", "times": 2})
    assert {result.state for result in house.pull(LEGACY)} == {"done"}
    assert held(house) == told(house)
    house.act("bulk", entity="legacy_invoice", n=3)
    house.act("change_limit", customer=house.rows("select min(number) as n from canonical.customer where source = :s", s=LEGACY)[0].n)
    house.advance(hours=6)
    house.ask("/control/faults", {"system": LEGACY, "kind": "outage"})
    assert "done" not in {result.state for result in house.pull(LEGACY)}
    httpx.delete(f"{house.control}/control/faults", timeout=20).raise_for_status()
    house.ask("/control/faults", {"system": LEGACY, "kind": "resent_file", "times": 1})
    for _ in range(2):
        assert {result.state for result in house.pull(LEGACY)} == {"done"}
        assert held(house) == told(house)
    assert verify(house.database, house.clock) == []

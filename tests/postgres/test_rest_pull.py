"""The declared application of tidegate.toml in a real Postgres: its invoices stand once, to the cent, and are worked on like an ERP's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import sandbox
from sync.ingest import opened_source
from sync.ports import Probing
from sync.verify import verify
from tests.postgres.sandbox_house import SandboxHouse, furnish

NAME = "subscriptions"
OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
"""The world is the same on every day that the tests run."""


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path) -> Iterator[SandboxHouse]:
    with sandbox.running(tmp_path / "sandbox", customers=12, history_days=40, start_at=OPENED) as box:
        yield furnish(engine, box)


def _told(house: SandboxHouse) -> tuple[int, Decimal, Decimal, int, int]:
    (row,) = [one for one in house.ask("/control/truth")["invoices"] if one["system"] == NAME]
    return row["count"] - row["cancelled"], Decimal(row["gross"]), Decimal(row["open"]), row["open_count"], row["disputed"]


def _held(house: SandboxHouse) -> tuple[Any, ...]:
    (measured,) = house.rows(
        "select count(*) as n, sum(open_amount) as open, count(*) filter (where open_amount <> 0) as open_n,"
        " count(*) filter (where is_disputed) as disputed from measure.invoice_fact where source = :name",
        name=NAME,
    )
    (gross,) = house.rows("select sum(gross) as gross from canonical.invoice where source = :name and not is_deleted", name=NAME)
    return measured.n, gross.gross, measured.open, measured.open_n, measured.disputed


def test_the_measures_say_what_the_billing_tool_knows(house: SandboxHouse) -> None:
    """Beside the American ERP and the treasury platform of the same company: counts, gross and open to the cent, now and ten days on."""
    results = house.pull("sap-na", "modern-treasury", "ecb", NAME)
    mine = [result for result in results if result.connection == NAME]
    assert [(r.stream, r.state, r.counts.quarantined) for r in mine] == [("customers", "done", 0), ("invoices", "done", 0)]
    assert _held(house) == _told(house)
    assert sum(result.counts.promoted for result in house.pull(NAME)) == 0
    for _ in range(2):
        house.advance(days=5)
        house.pull("sap-na", "modern-treasury", "ecb", NAME)
        house.decide()
        assert _held(house) == _told(house)
    everything = [Decimal(row["open"]) for row in house.ask("/control/truth")["invoices"] if row["legal_entity"] == "US01"]
    (shown,) = house.rows("select sum(open_amount) as open from measure.invoice_fact where legal_entity = 'US01'")
    assert shown.open == sum(everything)
    assert verify(house.database, house.clock) == []


def test_its_customers_are_parties_of_their_own(house: SandboxHouse) -> None:
    """Nobody else knows them: each is one party, none is the ERP's, and none of their invoices is named by another source."""
    house.pull("sap-na", "salesforce", NAME)
    house.decide()
    rows = house.rows(
        "select l.party_id, count(distinct k.source) as sources from canonical.identity_link l join canonical.identity_link k using (party_id)"
        " where l.source = :name group by 1",
        name=NAME,
    )
    assert len(rows) == house.rows("select count(*) as n from canonical.customer where source = :name", name=NAME)[0].n
    assert {row.sources for row in rows} == {1}


def test_the_connection_of_the_file_proves_itself(house: SandboxHouse) -> None:
    """`connections test subscriptions`: every line is well, the first record of each list is shown as it is mapped."""
    with opened_source(house.landscape.connection(NAME), house.landscape) as source:
        assert isinstance(source, Probing)
        findings = list(source.probe(now=house.clock.now()))
    assert [one for one in findings if not one.ok] == []
    assert {"clock", "customers first page", "invoices first page", "  invoice.gross"} <= {one.what for one in findings}

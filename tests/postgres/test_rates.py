"""Reference rates in a real Postgres: shipped ones that lead to their bytes, those of a connection before them, revisions kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from currency_converter import currency_converter as package

from db.clock import FixedClock
from db.engine import reading, writing
from metrics import invariants
from metrics.reads import rate_date
from sync import fx, landing, shipped_rates
from sync.connections import Landscape
from sync.pull import PullResult, pull_stream
from sync.systems.registry import names_of, system
from tests.contracts.test_ecb import Files
from tests.postgres.synthetic import Database

NOW = datetime(2026, 10, 31, 9, tzinfo=UTC)
IN_USE = ("EUR", "USD", "GBP", "JPY", "SGD", "MXN")


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files()
    yield files
    files.server.close()


def _load(engine: sa.Engine, *currencies: str, now: datetime = NOW) -> int:
    with writing(engine) as conn:
        return shipped_rates.load(conn, currencies, now=now)


def _rows(engine: sa.Engine, query: str, **bound: Any) -> list[Any]:
    with reading(engine) as conn:
        return list(conn.execute(sa.text(query), bound))


def _pull(engine: sa.Engine, files: Files, stream: str, now: datetime, **options: Any) -> PullResult:
    connection = files.connection(**options)
    source = system(connection).make_source(connection, Landscape())
    try:
        return pull_stream(Database(engine), connection, Landscape(), source, stream, clock=FixedClock(now), trigger="test")
    finally:
        source.close()


def test_the_shipped_rates_come_once_and_lead_to_their_bytes(engine: sa.Engine) -> None:
    """Only the currencies in use, each with version and raw record; a second time nothing; another currency later brings only itself."""
    made = _load(engine, *IN_USE)
    assert made == _rows(engine, "select count(*) from canonical.fx_rate")[0][0] > 30_000
    assert {row.currency for row in _rows(engine, "select distinct currency from canonical.fx_rate")} == set(IN_USE) - {"EUR"}
    (one,) = _rows(engine, "select * from canonical.fx_rate where source_key = 'USD/2026-10-30'")
    assert (one.source, one.units_per_eur, one.region, one.backfilled) == ("ecb-shipped", Decimal("1.1172"), "*", True)
    page_id, _ = landing.split_record_id(one.raw_record_id)
    with reading(engine) as conn:
        assert landing.read(conn, page_id).page.body == Path(package.CURRENCY_FILE).read_bytes()
        assert [v for v in invariants.check(conn, now=NOW) if "lineage" in v.invariant] == []
    assert _load(engine, *IN_USE) == 0
    assert _load(engine, *IN_USE, "CHF", "AED") == _rows(engine, "select count(*) from canonical.fx_rate where currency = 'CHF'")[0][0] > 0
    assert _rows(engine, "select count(*) from raw.page")[0][0] == 1
    assert _rows(engine, "select count(*) from canonical.fx_rate_history")[0][0] == 0


def test_a_day_without_a_rate_takes_the_last_before_it(engine: sa.Engine) -> None:
    """A Sunday is worth Friday's rate; before the first day there is none; the euro is itself."""
    _load(engine, *IN_USE)
    with reading(engine) as conn:
        sunday, early = fx.rates_at(conn, date(2026, 10, 25)), fx.rates_at(conn, date(1998, 1, 1))
        assert rate_date(conn, date(2026, 10, 25)) == date(2026, 10, 23)
    assert sunday["USD"][1] == date(2026, 10, 23)
    assert early == {"EUR": (Decimal(1), date(1998, 1, 1))}


def test_a_connections_rate_goes_before_the_shipped_one(engine: sa.Engine, files: Files) -> None:
    """Of one day the lower precedence is used; of a day that only one of them has, that one; a later day wins over both."""
    _load(engine, *IN_USE)
    files.days = {"2026-10-30": [("USD", "1.25")], "2026-10-29": [("USD", "1.24")]}
    result = _pull(engine, files, "history", NOW)
    assert (result.state, result.counts.promoted) == ("done", 2)
    with reading(engine) as conn:
        rates = fx.rates_at(conn, date(2026, 10, 31))
        assert (rates["USD"][0], rates["JPY"][0]) == (Decimal("1.25"), Decimal("175.68"))
        assert fx.rates_at(conn, date(2026, 10, 28))["USD"][0] != Decimal("1.24")
    _pull(engine, files, "daily", NOW, precedence=200)
    with writing(engine) as conn:
        conn.execute(sa.text("update canonical.fx_rate set precedence = 200 where source = 'ecb'"))
    with reading(engine) as conn:
        assert fx.rates_at(conn, date(2026, 10, 31))["USD"][0] == Decimal("1.1172")


def test_a_revised_rate_is_a_new_version_and_the_old_one_is_kept(engine: sa.Engine, files: Files) -> None:
    """The history table says what was believed until when; what did not change is not written again."""
    files.days = {"2026-10-29": [("USD", "1.11"), ("JPY", "175")], "2026-10-30": [("USD", "1.12"), ("JPY", "176")]}
    _pull(engine, files, "history", NOW)
    files.days["2026-10-29"][0] = ("USD", "1.13")
    again = _pull(engine, files, "history", NOW + timedelta(days=1))
    assert (again.counts.promoted, again.counts.quarantined) == (2, 0)
    assert {(row.source_key, row.units_per_eur) for row in _rows(engine, "select * from canonical.fx_rate_history")} == {
        ("USD/2026-10-29", Decimal("1.11")), ("JPY/2026-10-29", Decimal(175)),
    }  # fmt: skip
    quiet = _pull(engine, files, "history", NOW + timedelta(days=2))
    assert (quiet.state, quiet.counts.promoted) == ("done", 0)
    assert _rows(engine, "select units_per_eur from canonical.fx_rate where source_key = 'USD/2026-10-29'")[0][0] == Decimal("1.13")


def test_every_region_sees_the_rates(engine: sa.Engine) -> None:
    """Rates belong to no region: a scope of one region reads them all, no scope reads none."""
    _load(engine, "EUR", "USD")
    total = _rows(engine, "select count(*) from canonical.fx_rate")[0][0]
    for regions, seen in (("NA", total), ("", 0)):
        with engine.begin() as conn:
            conn.execute(sa.text("set local role tidegate_pages"))
            conn.execute(sa.text("select set_config('tidegate.regions', :regions, true)"), {"regions": regions})
            assert conn.scalar(sa.text("select count(*) from canonical.fx_rate")) == seen


def test_a_rate_is_found_by_its_index(engine: sa.Engine) -> None:
    """However many rates there are, the one of a day is one look into the index."""
    _load(engine, *IN_USE)
    with engine.begin() as conn:
        conn.execute(sa.text("analyze canonical.fx_rate"))
        plan = conn.execute(
            sa.text(
                "explain select r.units_per_eur from canonical.fx_rate r where r.currency = 'USD' and r.rate_date <= '2026-10-25'"
                " and not r.is_deleted order by r.rate_date desc, r.precedence, r.source limit 1"
            )
        ).scalars()
        lines = list(plan)
        assert any("ix_fx_rate_in_use" in line for line in lines), lines


def test_the_rates_connection_plays_its_part(files: Files) -> None:
    """A connection of system ecb has the role rates."""
    assert names_of(Landscape(connections=(files.connection(),)), "rates") == ["ecb"]

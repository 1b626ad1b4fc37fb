"""What pages read: the read models and the facts give the same answers, and the past answers as it was known."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal

from db.engine import Scope, reading, writing
from metrics import delay, freshness, hindsight, journeys, latency, reads, refresh
from metrics.frames import Where, known, source_knew
from metrics.invoices import invoices
from tests.postgres.metrics_facts import Facts, moment

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def world(engine: sa.Engine) -> sa.Engine:
    """Two regions, four customers, eighty invoices, two accounts; refreshed."""
    dice = random.Random(3)
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.rate("USD", date(2025, 12, 1), "1.10")
        for number in range(4):
            facts.customer(f"C{number}", party=number + 1, limit="1500", region="NA" if number > 2 else "EMEA")
        for number in range(80):
            customer = dice.randrange(4)
            issued = date(2026, 1, 1) + timedelta(days=dice.randrange(50))
            paid = [(issued + timedelta(days=dice.randrange(1, 60)), dice.choice(["100.00", "55.00"]))] if dice.random() < 0.7 else []
            paid = [one for one in paid if one[0] < NOW.date()]
            facts.invoice(f"I{number}", f"C{customer}", "100.00", issued, paid=paid, region="NA" if customer > 2 else "EMEA",
                          currency="USD" if customer > 2 else "EUR", legal_entity="US01" if customer > 2 else "DE01")  # fmt: skip
        for account, day, amount in (("A1", 1, "1000"), ("A1", 2, "1200"), ("A2", 1, "50")):
            facts.put("bank_balance", f"{account}{day}", account=account, balance_type="closing_booked", as_of_date=date(2026, 3, day),
                      amount=Decimal(amount), currency="EUR", changed_at=moment(date(2026, 3, day), 1))  # fmt: skip
    refresh.run(engine, now=NOW, reporting_currency="EUR")
    return engine


def test_the_read_models_say_what_the_facts_say(world: sa.Engine) -> None:
    """Ledger, exposure, positions and cohorts read from the read models equal those computed from the facts as known now."""
    with reading(world) as conn:
        ledger, facts = (reads.ledger(conn, reporting_currency="EUR", known_at=at).sort("source_key") for at in (None, NOW))
        exposure, past = (reads.exposures(conn, reporting_currency="EUR", known_at=at) for at in (None, NOW))
        held, past_held = (reads.positions(conn, reporting_currency="EUR", known_at=at) for at in (None, NOW))
        merged = reads.cohorts(reads.cohort_slice(conn, since=date(2025, 12, 29)))
        direct = latency.cohorts(invoices(conn, reporting_currency="EUR"))
    assert_frame_equal(ledger, facts)
    assert_frame_equal(exposure, past)
    assert_frame_equal(held, past_held)
    assert held["amount"].to_list() == [Decimal(1200), Decimal(50)]
    assert_frame_equal(merged.select("week", "p50", "p90", "p95", "invoices", "cleared", "late"),
                       direct.select("week", "p50", "p90", "p95", "invoices", "cleared", "late"))  # fmt: skip


def test_the_past_is_as_it_was_known(world: sa.Engine) -> None:
    """A page as known in January has January's invoices, open amounts and balances only."""
    at = datetime(2026, 1, 20, 18, tzinfo=UTC)
    with reading(world) as conn:
        ledger = reads.ledger(conn, reporting_currency="EUR", known_at=at)
        exposure = reads.exposures(conn, reporting_currency="EUR", known_at=at)
        held = reads.positions(conn, reporting_currency="EUR", known_at=at)
    assert max(ledger["issue_date"]) <= at.date()
    emea = pl.col("region") == "EMEA"
    assert exposure.filter(emea)["open_receivables"].sum() == ledger.filter(emea)["open_reporting"].sum()
    assert held.is_empty()


def test_headlines_have_their_history(world: sa.Engine) -> None:
    """Today's figures are there for all and for a region; percentiles of several regions are missing with their reason."""
    with writing(world) as conn:
        from metrics import figures

        assert figures.put_past(conn, now=NOW, reporting_currency="EUR", most=5) == 5
    slugs = ["open_total", "invoice_to_payment_p50", "cash_position", "exposure_breaches"]
    with reading(world) as conn:
        everybody = reads.headlines(conn, slugs, on=NOW.date())
        one = reads.headlines(conn, slugs, on=NOW.date(), regions=frozenset({"EMEA"}))
        two = reads.headlines(conn, slugs, on=NOW.date(), regions=frozenset({"EMEA", "NA"}))
        ledger = reads.ledger(conn, reporting_currency="EUR")
    owed = ledger.filter(pl.col("open_amount") > 0)["open_reporting"].sum()
    assert everybody["open_total"].value == two["open_total"].value == owed
    assert everybody["cash_position"].value == Decimal(1250)
    assert len(everybody["open_total"].spark) == 6
    assert one["open_total"].value != everybody["open_total"].value
    assert two["invoice_to_payment_p50"].value is None
    assert two["invoice_to_payment_p50"].why_missing


def test_a_person_of_one_region_sees_only_its_rows(world: sa.Engine) -> None:
    """Under a scope, every read and every past question is cut to the person's regions by the database."""
    scope = Scope(regions=frozenset({"NA"}), actor="ann")
    with reading(world, scope) as conn:
        assert set(reads.ledger(conn, reporting_currency="EUR")["region"]) == {"NA"}
        assert set(reads.ledger(conn, reporting_currency="EUR", known_at=NOW)["region"]) == {"NA"}
        assert set(reads.exposures(conn, reporting_currency="EUR")["region"]) == {"NA"}
        assert set(reads.exposures(conn, reporting_currency="EUR", known_at=NOW)["region"]) == {"NA"}
        assert set(reads.cohort_slice(conn, since=date(2026, 1, 1))["region"]) == {"NA"}
        assert reads.headlines(conn, ["open_total"], on=NOW.date()) == {}


def test_the_fan_starts_at_the_position(world: sa.Engine) -> None:
    """The forecast's fan is ordered (late payers lowest) and ends at the position plus everything expected."""
    with reading(world) as conn:
        lines = reads.newest_forecast(conn, at=NOW)
        fan = reads.fan(lines, reads.positions(conn, reporting_currency="EUR"), minimum=Decimal(500))
        nothing = reads.fan(lines.clear(), reads.positions(conn, reporting_currency="EUR"))
        emea = reads.newest_forecast(conn, at=NOW, where=Where(regions=frozenset({"EMEA"})))
    assert fan.height == 13
    assert (fan["p10"] <= fan["p50"]).all()
    assert (fan["p50"] <= fan["p90"]).all()
    assert fan["p50"][-1] == Decimal(1250) + Decimal(lines["amount_reporting"].sum())
    assert nothing.is_empty()
    assert 0 < emea.height < lines.height


def test_breaches_are_shown_as_they_stood(world: sa.Engine) -> None:
    """An episode that is open now was not yet there before it opened."""
    with reading(world) as conn:
        now = reads.breaches(conn, at=NOW)
        before = reads.breaches(conn, at=NOW - timedelta(days=1))
    assert before.is_empty()
    assert now["cleared_at"].null_count() == now.height


def test_every_question_of_a_page_may_be_asked_by_the_pages_role(world: sa.Engine) -> None:
    """Variance, accuracy, journeys, freshness and their past forms need no right that pages don't have, and cross no region."""
    scope = Scope(regions=frozenset({"NA"}), actor="ann")
    asked = NOW - timedelta(days=20)
    window = (asked.date() + timedelta(days=1), NOW.date())
    with writing(world) as conn:
        Facts(conn).invoice("EMEA1", "C0", "70.00", date(2026, 2, 5))
        Facts(conn).invoice("LATE", "C3", "70.00", date(2026, 2, 5), region="NA", currency="EUR", recorded_at=moment(date(2026, 2, 20)))
    with reading(world, scope) as conn:
        explained = hindsight.explain(conn, window=window, cut_off=asked, at=NOW, reporting_currency="EUR")
        assert explained.bridge is not None
        assert set(explained.bridge.items["region"]) == {"NA"}
        assert explained.late["cause"].to_list() == ["waited for the next pull"]
        hindsight.accuracy_by_horizon(conn, at=NOW, reporting_currency="EUR")
        for known_at in (None, NOW):
            assert journeys.find(conn, "LATE", now=NOW, bound=reads.bound_of(known_at)) is not None
            assert journeys.find(conn, "EMEA1", now=NOW, bound=reads.bound_of(known_at)) is None
        assert set(journeys.search(conn, "I")["kind"]) == {"invoice"}
        assert freshness.streams(conn).is_empty()
        assert freshness.lags(conn, since=NOW - timedelta(days=400)).height > 0
        assert freshness.watermark(conn) is None
        assert reads.rate_date(conn, NOW.date()) == date(2025, 12, 1)
        assert set(reads.newest_forecast(conn, at=NOW)["region"]) == {"NA"}


def test_a_figures_sync_share_is_its_difference_between_the_two_sets(world: sa.Engine) -> None:
    """What is kept beside today's figures is the measure as known less the same measure without delay, per region."""
    at = datetime(2026, 2, 10, tzinfo=UTC)
    with writing(world) as conn:
        facts = Facts(conn)
        facts.invoice("L1", "C3", "110.00", date(2025, 12, 5), region="NA", currency="USD", recorded_at=moment(date(2026, 2, 20)))
        facts.put("payment_application", "L2", invoice_key="I1", amount=Decimal(1), currency="EUR", clearing_date=date(2026, 2, 1),
                  changed_at=moment(date(2026, 2, 1)), recorded_at=moment(date(2026, 2, 20)))  # fmt: skip
        conn.execute(
            sa.text(
                "insert into process.stream (connection, stream, region, live_since, complete_until) values ('erp', 's', 'EMEA', :a, :a)"
            ),
            {"a": at},
        )
    with writing(world) as conn:
        refresh.put_exposure(conn, None, now=NOW, reporting_currency="EUR")
    with reading(world) as conn:
        found = delay.sync_shares(conn, now=NOW, reporting_currency="EUR")
    with writing(world) as conn:
        delay.put_sync_shares(conn, found)
    with reading(world) as conn:
        frames = [invoices(conn, reporting_currency="EUR", on=at.date(), bound=bound) for bound in (known(at), source_knew(at))]
        slugs = ["open_total", "open_count", "cash_position", "exposure_breaches"]
        tiles = {region: reads.headlines(conn, slugs, on=NOW.date(), regions=frozenset({region})) for region in ("EMEA", "NA")}
        tiles["*"] = reads.headlines(conn, slugs, on=NOW.date())
    for region, tile in tiles.items():
        mine = [frame if region == "*" else frame.filter(pl.col("region") == region) for frame in frames]
        owing = [frame.filter(pl.col("open_amount") > 0) for frame in mine]
        totals = [Decimal(frame["open_reporting"].sum()) for frame in owing]
        assert tile["open_total"].sync_share == totals[0] - totals[1]
        assert tile["open_count"].sync_share == owing[0].height - owing[1].height
    assert tiles["NA"]["open_total"].sync_share == Decimal(-100)
    assert tiles["*"]["cash_position"].sync_share is None
    assert tiles["*"]["exposure_breaches"].sync_share is not None

"""Charts are pure: a frame in, a figure out, with the conventions of the house."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import plotly.graph_objects as go
import polars as pl
import pytest

from app import fake_figures as figures
from app import fake_queue as queue
from app.charts import cash, exposure, journeys, receivables, told
from app.charts.palette import DARK, LIGHT, Palette


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_chart_is_a_valid_figure_also_without_rows(colours: Palette) -> None:
    """Plotly accepts each figure in both themes, with rows and with none."""
    for cut in (1_000, 0):
        built = [
            receivables.cohorts(figures.cohorts().head(cut), colours),
            receivables.compare(figures.cohorts().head(cut), colours, percentile="p90"),
            receivables.survival(figures.survival().head(cut), colours),
            receivables.aging(figures.aging().head(cut), colours, currency="EUR"),
            cash.positions(figures.positions().head(cut), colours, by="currency", currency="EUR"),
            cash.bridge(figures.bridge().head(cut), colours, currency="EUR"),
            exposure.utilisation(figures.credit_customers().head(cut), colours, currency="EUR"),
            journeys.clocks(queue.journey("1").hops[:cut], colours),
        ]
        if cut:
            built.append(cash.fan(figures.fan(), colours, currency="EUR"))
        for figure in built:
            go.Figure(figure)


def test_every_chart_is_told_in_words_with_its_figures() -> None:
    """Whoever hears the page gets the figures that the picture is drawn for; without rows it says so and does not fail."""
    frames = (
        figures.positions(),
        figures.fan(),
        figures.bridge(),
        figures.cohorts(),
        figures.aging(),
        figures.survival(),
        figures.credit_customers(),
    )
    for cut in (1_000, 0):
        positions, fan, bridge, cohorts, aging, survival, customers = (frame.head(cut) for frame in frames)
        texts = [
            told.positions(positions, by="currency", currency="EUR"),
            told.fan(fan, currency="EUR"),
            told.bridge(bridge, currency="EUR"),
            told.latency(cohorts, view="all"),
            told.aging(aging, currency="EUR"),
            told.survival(survival),
            told.utilisation(customers),
            told.clocks(queue.journey("1").hops[:cut]),
        ]
        assert all(len(text) < 400 for text in texts)
        assert bool(cut) == all(any(sign.isdigit() for sign in text.partition(":")[2] or text) for text in texts)
    assert told.bridge(figures.bridge(), currency="EUR").endswith("Sync delay \u2212184.2 k EUR, Actual 4.0 M EUR")
    assert told.clocks(queue.journey("1").hops).startswith("Hours by hop in three clocks, longest first: Payment received 896.1 h, ")


def test_the_bridge_ends_where_actual_stands() -> None:
    """Every bar starts where the one before ended, and the causes with the sync share reach the actual exactly."""
    figure = cash.bridge(figures.bridge(), LIGHT, currency="EUR")
    bar = figure["data"][0]
    ends = [base + amount for base, amount in zip(bar["base"], bar["y"], strict=True)]
    assert bar["base"][1:-1] == ends[:-2]
    assert ends[-2] == pytest.approx(ends[-1])


def test_the_bridge_tells_forecast_actual_and_sync_apart_without_colour() -> None:
    """Forecast is hatched, actual solid, the sync share crossed; every change has its sign."""
    bar = cash.bridge(figures.bridge(), LIGHT, currency="EUR")["data"][0]
    shapes = dict(zip(bar["x"], bar["marker"]["pattern"]["shape"], strict=True))
    assert (shapes["Forecast"], shapes["Actual"], shapes["Sync delay"]) == ("/", "", "x")
    assert all(text[0] in "+\u22120" for text, step in zip(bar["text"], bar["x"], strict=True) if step not in ("Forecast", "Actual"))


def test_cohorts_can_be_clicked_and_show_what_still_moves() -> None:
    """Lines carry markers (a plain line sends no click); weeks that are still being paid are hollow, the chosen one is larger."""
    figure = receivables.cohorts(figures.cohorts(), LIGHT, chosen=date(2026, 9, 7))
    for trace in figure["data"]:
        assert trace["mode"] == "lines+markers"
        assert trace["marker"]["color"][0] != LIGHT.paper
        assert trace["marker"]["color"][-1] == LIGHT.paper
        assert trace["marker"]["size"][trace["customdata"].index("2026-09-07")] > 8


def test_utilisation_says_no_limit_and_over_limit_in_words() -> None:
    """A customer without a limit reads "no limit", never 0 %; one above it says so in words."""
    words = {
        label["y"]: label["text"]
        for label in exposure.utilisation(figures.credit_customers(), LIGHT, currency="EUR")["layout"]["annotations"]
    }
    assert words["Aceros del Norte SA"] == "no limit"
    assert words["Nordwind Logistik GmbH"] == "158 %, over its limit"


def test_customers_of_one_name_are_told_apart() -> None:
    """Two customers who share a name have a line each, with their numbers; the others keep their plain names."""
    twice = figures.credit_customers().with_columns(name=pl.col("name").replace("Harrow & Pike Ltd", "Nordwind Logistik GmbH"))
    bars = exposure.utilisation(twice, LIGHT, currency="EUR")["data"][0]
    assert len(set(bars["y"])) == twice.height
    assert {"Nordwind Logistik GmbH (10100017)", "Nordwind Logistik GmbH (10200042)", "Hoshino Precision KK"} <= set(bars["y"])


def test_aging_splits_disputed_and_keeps_the_sum() -> None:
    """Undisputed and disputed parts add up to the bucket; credits go to the other side."""
    figure = receivables.aging(figures.aging(), LIGHT, currency="EUR")
    plain, disputed = (trace["x"] for trace in figure["data"])
    assert [left + right for left, right in zip(plain, disputed, strict=True)] == pytest.approx(
        [float(amount) for amount in figures.aging()["amount"]]
    )
    assert plain[-1] < 0


def test_positions_add_up_by_group() -> None:
    """Positions by currency are the sums of their accounts, largest on top."""
    frame = pl.DataFrame({"currency": ["EUR", "EUR", "USD"], "amount_reporting": [Decimal(10), Decimal(5), Decimal(7)]})
    bar = cash.positions(frame, LIGHT, by="currency", currency="EUR")["data"][0]
    assert dict(zip(bar["y"], bar["x"], strict=True)) == {"EUR": 15.0, "USD": 7.0}


def test_a_gap_in_a_journey_is_named() -> None:
    """What should have happened and has not is written into the chart."""
    figure = journeys.clocks(queue.journey("1").hops, LIGHT)
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["missing"]

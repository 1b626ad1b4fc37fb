"""Cash flows published to a treasury system of the sandbox: once, to the cent, and never over what treasury changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from sync.errors import AuthError, UnknownOutcome
from sync.ports import Order, Target
from tests.contracts.suite_sandbox import Dial, Reading
from tests.contracts.suite_store import Store

_NUMBER = itertools.count(1)


@dataclass(frozen=True)
class Publishing:
    """A treasury system that is written to: `reading` its forecasts, `target` its other hand.

    `terms` are the company and currency whose flows it takes, `account` is where it puts them. `secret` is the environment's name for
    the credential that `refusal` speaks of once it is wrong.
    """

    reading: Reading
    target: Callable[[], Target]
    terms: dict[str, str]
    account: str
    secret: str
    refusal: str

    def order(self, name: str, **payload: Any) -> Order:
        """A flow to be published under this name."""
        told = {"amount": "1234567.89", "expected_date": "2027-01-15", "description": "Contract C-1", **self.terms, **payload}
        return Order(f"forecast:{name}", "publish_forecast", name, told)


def new(words: str) -> str:
    """A name that no flow of the box has had."""
    return f"{words} {next(_NUMBER)}"


class ForecastSuite:
    """The module gives a fixture `publishing`."""

    @pytest.mark.parametrize("amount", ["1234567.89", "-0.05"])
    def test_a_forecast_is_published_once_and_comes_back_as_ours(self, publishing: Publishing, dial: Dial, amount: str) -> None:
        """Applied, then already there: one write in the system's own log, to the cent; the echo carries our reference."""
        system, before = publishing.reading.system, len(dial.writes(publishing.reading.system))
        order = publishing.order(new("once"), amount=amount)
        with closing(publishing.target()) as target:
            assert target.read(order).outcome == "absent"
            made = target.apply(order)
            assert made.outcome == "applied"
            assert target.apply(order).outcome == "already"
        assert len(dial.writes(system)) == before + 1
        echo = publishing.reading.pulled(Store()).live("forecast_item")[str(made.reference)]
        assert echo["reference"].startswith("TG-")
        assert (echo["amount"], echo["currency"], echo["account"], str(echo["expected_date"])) == (
            Decimal(amount), publishing.terms["currency"], publishing.account, "2027-01-15",
        )  # fmt: skip

    def test_a_lost_answer_is_unknown_and_reading_tells(self, publishing: Publishing, dial: Dial) -> None:
        """Executed, but the answer never came: unknown; the reference shows that it is there, so it is not created again."""
        system, order = publishing.reading.system, publishing.order(new("lost"))
        before = len(dial.writes(system))
        dial.fault(system, "drop_response_after_execute", times=1)
        with closing(publishing.target()) as target:
            with pytest.raises(UnknownOutcome):
                target.apply(order)
            assert target.read(order).outcome == "already"
            assert target.apply(replace(order, attempt=2)).outcome == "already"
        assert len(dial.writes(system)) == before + 1

    def test_what_treasury_changed_differs(self, publishing: Publishing) -> None:
        """The same reference with another amount: the world moved on, and nothing is written over it."""
        name = new("changed")
        with closing(publishing.target()) as target:
            target.apply(publishing.order(name))
            assert target.read(publishing.order(name, amount="5")).outcome == "differs"
            assert target.apply(publishing.order(name, amount="5")).outcome == "differs"

    def test_wrong_credentials_are_said_in_words(self, publishing: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system refuses us: an error about credentials that holds no secret."""
        monkeypatch.setenv(publishing.secret, "wr0ng-secret")
        with closing(publishing.reading.opened()) as source:
            with pytest.raises(AuthError, match=publishing.refusal) as refused:
                list(source.pull(publishing.reading.stream, None, now=publishing.reading.box.world.now))
            assert "wr0ng-secret" not in repr(refused.value) + repr(source)

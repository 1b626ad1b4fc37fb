"""What an order to publish a forecast says, whichever treasury it goes to."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sync.errors import PermanentError
from sync.forecasts import finite, order_account, order_day, order_reference, reference_of
from sync.ports import Order

ORDER = Order("forecast:1", "publish_forecast", "C-1", {"expected_date": "2027-01-15", "company": "US01", "currency": "USD"})


def test_a_reference_is_the_same_for_ever() -> None:
    """It is a digest of the effect's permanent key; a payload's own TG- reference stands, a foreign one does not."""
    assert reference_of("forecast:1") == reference_of("forecast:1", "somebody else's") == "TG-4c9ade9c2824adf480690b70"
    assert reference_of("forecast:1") != reference_of("forecast:2")
    assert reference_of("forecast:1", "TG-mine") == "TG-mine"
    assert len(reference_of("x" * 500)) == 27
    assert order_reference(ORDER) == reference_of("forecast:1")


def test_a_day_is_a_date_or_an_error() -> None:
    """An ISO date comes back as it is; anything else is said with the record that it belongs to."""
    assert order_day(ORDER) == "2027-01-15"
    with pytest.raises(PermanentError, match="'soon' is none") as refused:
        order_day(Order("forecast:1", "publish_forecast", "C-1", {"expected_date": "soon"}))
    assert refused.value.subject == "C-1"


@pytest.mark.parametrize(("said", "amount"), [("-0.05", Decimal("-0.05")), ("NaN", None), ("Infinity", None), ("much", None), (None, None)])
def test_an_amount_is_finite_or_none(said: object, amount: Decimal | None) -> None:
    assert finite(said) == amount


def test_the_account_is_the_payloads_the_named_one_or_the_first_that_fits() -> None:
    """In this order; none at all is an error that says what to do, and nobody is asked when one is chosen."""
    chosen = Order(ORDER.effect_key, ORDER.kind, ORDER.object_key, {**ORDER.payload, "account": "A9"})
    assert order_account(chosen, {"US01:USD": "A5"}, lambda *_: pytest.fail("asked"), connection="t") == "A9"
    assert order_account(ORDER, {"US01:USD": "A5"}, lambda *_: pytest.fail("asked"), connection="t") == "A5"
    assert order_account(ORDER, {"DE01:EUR": "A5"}, lambda *_: ["A3", "A2"], connection="t") == "A2"
    with pytest.raises(PermanentError, match="no account of US01 in USD: open one"):
        order_account(ORDER, {}, lambda *_: [], connection="t")

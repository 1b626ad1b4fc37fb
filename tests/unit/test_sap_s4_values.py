"""What S/4HANA writes in more than one form: decimals with exponents, types built on others, refusals of a property."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from sync.errors import PermanentError
from sync.ports import Mapped
from sync.systems.sap_s4.mapping import map_orders
from sync.systems.sap_s4.metadata import described
from sync.systems.sap_s4.odata import listing
from sync.systems.sap_s4.refusals import property_refused
from sync.systems.sap_s4.settings import Settings

SETTINGS = Settings(base_url="https://s4", region="EMEA")


def order(value: Any) -> Mapped:
    """A page with one order of this value, beside one of a usual one."""
    usual = {"SalesOrder": "1", "SoldToParty": "C1", "TotalNetAmount": "52.65", "TransactionCurrency": "EUR", "DeliveryBlockReason": "",
             "TotalCreditCheckStatus": "", "LastChangeDateTime": "/Date(1472796947125+0000)/"}  # fmt: skip
    return map_orders(json.dumps({"d": {"results": [{**usual, "SalesOrder": "2", "TotalNetAmount": value}, usual]}}).encode(), SETTINGS)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1.5E+2", "150"),
        ("1E2", "100"),
        ("1.50e2", "150"),
        ("-1.5E-1", "-0.15"),
        ("0E-3", "0"),
        ("12.3400E+0", "12.34"),
        ("+5", "5"),
        ("52.650", "52.65"),
    ],
)
def test_a_decimal_may_have_an_exponent(written: str, meant: str) -> None:
    """It is the same amount, to the cent, and its neighbour is as it was."""
    found = order(written)
    assert found.frames["sales_order"]["net_value"].to_list() == [Decimal(meant), Decimal("52.65")]
    assert found.rejects.is_empty()


@pytest.mark.parametrize("written", ["1E30", "1e99", "1e400000000", "E5", "1E", "1E2.5", "NaN", "Infinity", "1E-9", "1,5E2"])
def test_what_is_no_amount_with_an_exponent_is_rejected(written: str) -> None:
    """Too large, finer than money is kept, or nothing at all."""
    assert order(written).rejects["cause"].to_list() == ["bad_amount"]


@pytest.mark.parametrize("link", ["A_X?!deltatoken='D2026'", "https://s4/A_X?$format=json&%21deltatoken=D1", "A_X?!DeltaToken=1"])
def test_a_token_of_a_later_delta_is_no_next_page(link: str) -> None:
    """In either place; a link with a token of a page is one."""
    for page in ({"d": {"results": [], "__next": link}}, {"d": {"results": [], "__delta": link}}, {"value": [], "@odata.deltaLink": link}):
        assert listing(json.dumps(page).encode()).following is None
    assert listing(b'{"d":{"results":[],"__next":"A_X?$skiptoken=2"}}').following == "A_X?$skiptoken=2"


def test_a_type_has_what_the_type_has_that_it_is_built_on() -> None:
    """Also over several steps, and where two name each other."""
    said = described(
        b'<Schema Namespace="S"><EntityType Name="Base"><Property Name="A"/></EntityType><EntityType Name="Mid" BaseType="S.Base">'
        b'<NavigationProperty Name="_B"/></EntityType><EntityType Name="Top" BaseType="S.Mid"><Property Name="C"/></EntityType>'
        b'<EntityType Name="X" BaseType="S.Y"/><EntityType Name="Y" BaseType="S.X"><Property Name="D"/></EntityType>'
        b'<EntityContainer><EntitySet Name="T" EntityType="S.Top"/><EntitySet Name="Z" EntityType="S.X"/></EntityContainer></Schema>'
    )
    assert said.sets == {"T": (frozenset({"A", "C"}), frozenset({"_B"})), "Z": (frozenset({"D"}), frozenset())}


@pytest.mark.parametrize(
    "words",
    ["Property Total not found in type 'T'", "Could not find a property named 'Total' on type 'T'", "The property 'Total' does not exist",
     "Property 'Total' is not a member of T", "No property 'Total' exists in type T", "Column Total cannot be resolved",
     "Resource not found for the segment 'Total'"],
)  # fmt: skip
def test_a_refused_property_is_recognised(words: str) -> None:
    """By whatever words; not by such as are about something else."""
    assert property_refused(PermanentError(f"GET /x: answered 400: X/1 {words}", status=400), ["TotalNet", "Total"]) == "Total"
    assert property_refused(PermanentError("GET /x: answered 400: X/1 Total is locked", status=400), ["Total"]) is None

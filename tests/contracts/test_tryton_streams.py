"""The other streams of Tryton pass the contract suite as invoices do: each is the same walk over another model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

import pytest

from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.test_tryton import Invoices
from tests.contracts.tryton_server import Record, day, decimal, stamp

CURRENCY = {"id": 1, "code": "EUR"}
COMPANY = {"id": 1, "party.": {"id": 1, "name": "Hansa Antriebe GmbH"}, "currency.": CURRENCY}


class _Model(Invoices):
    """A stream whose records are made of a few plain fields, one of which holds the worth."""

    model = ""
    worth_field = ""

    def __init__(self) -> None:
        super().__init__()
        self.books.models[self.model] = {}

    def record(self) -> Record:
        """What a record has beside its number, its stamps and its worth."""
        raise NotImplementedError

    def _put(self, key: str, worth: str, at: datetime) -> None:
        number = int(key[1:])
        stamps = {"create_date": stamp(at), "write_date": stamp(at)}
        self.books.models[self.model][number] = {**self.record(), "id": number, self.worth_field: decimal(worth), **stamps}

    def put(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, f"{worth}.00", at)

    def put_malformed(self, key: str, at: datetime) -> None:
        self._put(key, "n/a", at)


class Parties(_Model):
    stream, entity, value_column = "parties", "credit_limit", "limit_amount"
    model, worth_field = "party.party", "credit_limit_amount"
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {"credit_limit_amount": ("gone", "null"), "replaced_by": ("word",)}

    def record(self) -> Record:
        return {"code": "7", "name": "Elbe Pumpen", "active": True, "replaced_by": None, "currency.": CURRENCY, "addresses.": []}


class Sales(_Model):
    stream, entity, value_column = "sales", "sales_order", "net_value"
    model, worth_field = "sale.sale", "untaxed_amount"

    def record(self) -> Record:
        return {
            "number": "S1", "state": "processing", "party": 7, "currency.": CURRENCY, "company.": COMPANY, "sale_date": day("2026-05-02"),
            "invoice_state": "none", "shipment_state": "none", "shipping_date": None, "quotation_expire": None, "reference": None, "origin": None,
        }  # fmt: skip


class Receipts(_Model):
    stream, entity, value_column = "receipts", "payment", "amount"
    model, worth_field = "account.move.line", "credit"

    def record(self) -> Record:
        return {
            "date": day("2026-05-02"), "party": 7, "move.": {"id": 9, "number": "41"}, "company.": COMPANY, "amount_second_currency": None,
            "second_currency.": None, "description": None, "move_description_used": "paid",
        }  # fmt: skip


class Payments(_Model):
    stream, entity, value_column = "payments", "outgoing_payment", "amount"
    model, worth_field = "account.payment", "amount"

    def record(self) -> Record:
        return {
            "number": "P1", "kind": "payable", "state": "approved", "party.": {"id": 7, "name": "Elbe Pumpen"}, "currency.": CURRENCY,
            "company.": COMPANY, "date": day("2026-05-22"), "reference": None, "submitted_by.": None, "approved_by": 1,
        }  # fmt: skip


class Opportunities(_Model):
    stream, entity, value_column = "opportunities", "opportunity", "amount"
    model, worth_field = "sale.opportunity", "amount"

    def record(self) -> Record:
        return {
            "number": "O1", "party": 7, "state": "opportunity", "currency.": CURRENCY, "company.": COMPANY, "description": "pumps",
            "end_date": day("2026-06-30"), "conversion_probability": 0.5,
        }  # fmt: skip


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRYTON_TEST_USER", "tidegate")
    monkeypatch.setenv("TRYTON_TEST_PASSWORD", "s3cret")


class TestStreams(AdapterSuite):
    @pytest.fixture(params=[Parties, Sales, Receipts, Payments, Opportunities])
    def case(self, request: pytest.FixtureRequest) -> Iterator[AdapterCase]:
        kind: Any = request.param
        with kind() as case:
            yield case

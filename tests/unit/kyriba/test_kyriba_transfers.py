"""A transfer's status in canonical words: what is known, what is configured, what can't pass."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.kyriba.test_kyriba_wire import NOW, mapped

TRANSFER = {
    "uuid": "u1", "transactionNumber": "T1", "reference": "R1", "status": "REGISTERED", "nextAction": "REMIT", "remittance": None,
    "amount": 15000.00, "currency": {"code": "AUD"}, "valueDate": "2026-06-02", "debitAccount": {"code": "US01-USD"},
    "counterparty": {"name": "Good company"},
}  # fmt: skip


def rows(*records: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """What the page of these transfers maps to."""
    return mapped("transfers", "results", *records, **options).frames["outgoing_payment"].to_dicts()


def test_a_transfer_in_canonical_words() -> None:
    """Who is paid what, when, from which account, and through the account the company and its region."""
    (row,) = rows(TRANSFER)
    assert (row["source_key"], row["payee"], row["amount"], row["currency"]) == ("u1", "Good company", Decimal(15000), "AUD")
    assert (row["due_date"], row["status"], row["bank_account"]) == (date(2026, 6, 2), "requested", "US01-USD")
    assert (row["legal_entity"], row["region"]) == ("US01", "NA")
    assert (row["changed_at"], row["source_version"]) == (NOW, NOW.date().toordinal())


@pytest.mark.parametrize(
    ("own", "remittance", "found"),
    [
        ("REGISTERED", None, "requested"), ("REGISTERED", "CONSTITUTED", "approved"), ("REGISTERED", "GENERATED", "approved"),
        ("REGISTERED", "TO_BE_MODIFIED", "requested"), ("REGISTERED", "TO_BE_DELETED", "rejected"),
        ("REGISTERED", "PUSHED_TO_COMMUNICATION_CHANNEL", "approved"), ("REGISTERED", "TRANSMITTED", "executed"),
        ("Rejected", "TRANSMITTED", "rejected"), ("BANK REJECTED", "TRANSMITTED", "failed"),
    ],
)  # fmt: skip
def test_a_transfer_comes_as_far_as_its_remittance(own: str, remittance: str | None, found: str) -> None:
    """Its remittance's way to the bank is its own, unless it has come to an end by itself."""
    batch = None if remittance is None else {"batchId": "B1", "status": remittance}
    (row,) = rows({**TRANSFER, "status": own, "remittance": batch})
    assert row["status"] == found


def test_a_status_of_the_tenant_is_configured() -> None:
    """A word that is not known is a reject that names the field; the option makes it known."""
    strange = {**TRANSFER, "status": "ON_HOLD"}
    rejects = mapped("transfers", "results", strange).rejects.to_dicts()
    assert [(reject["cause"], reject["field"]) for reject in rejects] == [("bad_value", "status")]
    (row,) = rows(strange, transfer_statuses={"ON_HOLD": "requested"})
    assert row["status"] == "requested"


@pytest.mark.parametrize(
    "worth",
    [{"amount": {"value": 7, "currency": {"code": "EUR"}}, "currency": None}, {"amount": {"amount": 7, "currency": "EUR"}, "currency": None},
     {"amount": None, "transactionAmount": 7, "currency": None, "transactionCurrency": "EUR"}],
)  # fmt: skip
def test_an_amount_is_looked_for_where_it_is_likely(worth: dict[str, Any]) -> None:
    """The answer's complete description is not public: every likely place is tried."""
    (row,) = rows({**TRANSFER, **worth})
    assert (row["amount"], row["currency"]) == (Decimal(7), "EUR")


def test_a_place_that_is_configured_is_the_only_one() -> None:
    """`transfer_fields` names where it stands; nothing else is then taken for it."""
    record = {**TRANSFER, "ordered": {"sum": 9.5}}
    (row,) = rows(record, transfer_fields={"amount": "ordered.sum"})
    assert row["amount"] == Decimal("9.5")
    rejects = mapped("transfers", "results", TRANSFER, transfer_fields={"amount": "nowhere"}).rejects.to_dicts()
    assert [(reject["cause"], reject["field"]) for reject in rejects] == [("missing_field", "amount")]
    assert "transfer_fields" in rejects[0]["message"]


def test_its_own_stamp_is_its_version() -> None:
    """Where a transfer carries a stamp it is compared by that."""
    (row,) = rows({**TRANSFER, "updateDateTime": "2026-05-01T10:00:00Z"})
    assert row["changed_at"] == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert row["source_version"] == int(row["changed_at"].timestamp() * 1000)


@pytest.mark.parametrize(
    ("change", "cause", "field"),
    [
        ({"uuid": None, "transactionNumber": None}, "missing_field", "uuid"),
        ({"status": {"code": "REGISTERED"}}, "schema_drift", "status"),
        ({"amount": "n/a"}, "bad_amount", "amount"),
        ({"currency": {"code": "XXQ"}}, "bad_currency", "currency"),
        ({"valueDate": "2026-02-31"}, "bad_date", "valueDate"),
        ({"remittance": {"status": "LOST"}}, "bad_value", "remittance.status"),
        ({"updateDateTime": "yesterday"}, "bad_time", "updateDateTime"),
    ],
)
def test_a_transfer_that_cannot_pass_says_why(change: dict[str, Any], cause: str, field: str) -> None:
    """One reject each, and its neighbour lands."""
    found = mapped("transfers", "results", {**TRANSFER, **change}, {**TRANSFER, "uuid": "u2"})
    assert [(reject["cause"], reject["field"]) for reject in found.rejects.to_dicts()] == [(cause, field)]
    assert found.frames["outgoing_payment"]["source_key"].to_list() == ["u2"]

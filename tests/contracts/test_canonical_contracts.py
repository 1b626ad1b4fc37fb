"""The data contracts and the canonical tables are one and the same list of columns."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from db.money_column import Amount
from db.schema.canonical import ENTITIES, ENVELOPE, history_of
from sync.canonical.causes import CAUSES
from sync.canonical.checks import base_type
from sync.canonical.contracts import CONTRACTS, Contract

KINDS: dict[type, type | tuple[type, ...]] = {
    str: sa.Text, Decimal: (sa.Numeric, Amount), date: sa.Date, datetime: sa.DateTime, bool: sa.Boolean, int: sa.Integer}  # fmt: skip
OURS = {"source", "content_hash", "recorded_at", "raw_record_id", "contract_version", "backfilled"}


def test_every_entity_has_a_contract_and_a_table() -> None:
    """No table without a contract, no contract without a table."""
    assert set(CONTRACTS) == set(ENTITIES)


@pytest.mark.parametrize("entity", CONTRACTS)
def test_a_contract_answers_to_its_table(entity: str) -> None:
    """The same columns in the same kinds; what the contract requires, the table requires too."""
    contract, table = CONTRACTS[entity], ENTITIES[entity]
    assert set(contract.model_fields) == {column.name for column in table.columns} - OURS
    for name in contract.model_fields:
        kind, optional, _ = base_type(contract, name)
        column = table.columns[name]
        assert isinstance(column.type, KINDS[kind]), name
        assert column.nullable == optional, name


@pytest.mark.parametrize("entity", CONTRACTS)
def test_history_keeps_every_column(entity: str) -> None:
    """A superseded version loses nothing, and says since when it is superseded."""
    current = {column.name for column in ENTITIES[entity].columns}
    assert {column.name for column in history_of(entity).columns} == current | {"superseded_at"}
    assert set(ENVELOPE) <= current


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_a_contract_is_owned_and_consistent(contract: type[Contract]) -> None:
    """Every contract names its domain and authority; its money and editable columns exist."""
    assert contract.domain
    assert contract.authority
    assert contract.version >= 1
    assert set(contract.money or ()) <= set(contract.model_fields)
    assert set(contract.editable) <= set(contract.model_fields)


def test_causes_are_named_once() -> None:
    """A cause is found by its slug and says what to do."""
    assert all(cause.slug == slug and cause.hint and cause.title for slug, cause in CAUSES.items())

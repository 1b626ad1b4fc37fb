"""What a source knows no more of than its key becomes deleted as it was last held."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from db.clock import FixedClock
from tests.postgres.synthetic import MemorySource, customer, invoice
from tests.postgres.test_pull import pull, rows


def _held(engine: sa.Engine) -> list[Any]:
    return rows(engine, "select source_key, gross, is_deleted, source_version from canonical.invoice order by source_key")


def _gone(key: str, version: int) -> dict[str, object]:
    return {"gone": "invoice", "source_key": key, "source_version": version}


def test_what_is_gone_keeps_its_last_amounts(engine: sa.Engine, clock: FixedClock) -> None:
    """The row is marked, its amount stays, its last version is history; what nobody holds is nothing, and every record is counted."""
    source = MemorySource({"files": [[customer("C1"), invoice("I1"), invoice("I2")]]})
    pull(engine, source, "files", clock)
    source.pages["files"].append([_gone("I1", 9), _gone("I7", 9)])
    result = pull(engine, source, "files", clock)
    assert [tuple(map(str, row)) for row in _held(engine)] == [("I1", "119.0000", "True", "9"), ("I2", "119.0000", "False", "1")]
    assert result.counts.as_dict() == {"received": 2, "promoted": 1, "unchanged": 1, "duplicates": 0, "superseded": 0, "quarantined": 0}
    assert len(rows(engine, "select 1 from canonical.invoice_history")) == 1


def test_what_is_newer_than_the_word_lives_on(engine: sa.Engine, clock: FixedClock) -> None:
    """A record that changed after it was missed is not deleted; said twice, nothing happens the second time."""
    source = MemorySource({"files": [[customer("C1"), invoice("I1", 20), invoice("I2", 3)], [_gone("I1", 9), _gone("I2", 9)]]})
    pull(engine, source, "files", clock)
    assert [(row.source_key, row.is_deleted) for row in _held(engine)] == [("I1", False), ("I2", True)]
    source.pages["files"].append([_gone("I2", 9), _gone("I2", 12)])
    assert pull(engine, source, "files", clock).counts.unchanged == 2


def test_what_comes_and_goes_in_one_batch_is_gone(engine: sa.Engine, clock: FixedClock) -> None:
    """The row need not be stored before it is missed; and it may come back."""
    source = MemorySource({"files": [[customer("C1"), invoice("I1", 1), _gone("I1", 5)]]})
    pull(engine, source, "files", clock)
    assert [row.is_deleted for row in _held(engine)] == [True]
    source.pages["files"].append([invoice("I1", 6)])
    pull(engine, source, "files", clock)
    assert [row.is_deleted for row in _held(engine)] == [False]

"""A bank's files on a real Postgres: the statement between two that was missing, and the file that was due, close their own exceptions."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.live import files
from db.clock import FixedClock
from db.engine import reading
from sync.connections import ConfigError, Connection, Landscape, LegalEntity
from sync.ingest import ingest_file
from sync.pull import PullResult, pull_stream
from sync.systems.bank_files import make_source
from tests.postgres.synthetic import Database
from tests.unit.statements.camt_files import Camt

MONDAY = datetime(2026, 5, 18, 8, 0, tzinfo=UTC)
BERLIN = LegalEntity(code="DE01", name="Nordhafen GmbH", region="EMEA", currency="EUR", zone="Europe/Berlin")
CAMT = Camt("053", 8)


class House:
    """A connection to a folder, a database, a clock that is set."""

    def __init__(self, engine: sa.Engine, folder: Path, **options: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.engine, self.folder, self.clock = engine, folder, FixedClock(MONDAY)
        given = {"folder": str(folder), "settle_seconds": 0, **options}
        self.connection = Connection(name="bank", system="bank_files", region="EMEA", legal_entities=("DE01",), options=given)
        self.landscape = Landscape(connections=(self.connection,), legal_entities=(BERLIN,))
        self.source = make_source(self.connection, self.landscape)
        self._drops = 0

    def statement(self, day: str, opening: str, closing: str, amount: str, number: str = "") -> bytes:
        entry = CAMT.entry(amount, day=f"<Dt>{day}</Dt>", reference=f"R-{day}")
        created = f"{day}T20:00:00+02:00"
        return CAMT.document(entry, opening=opening, closing=closing, day=day, identifier=f"S-{day}", created=created, sequence=number)

    def drop(self, name: str, body: bytes) -> None:
        """Each file is a second younger than the one before."""
        path = self.folder / name
        path.write_bytes(body)
        self._drops += 1
        os.utime(path, (1_000_000_000 + self._drops,) * 2)

    def pull(self, at: datetime = MONDAY) -> PullResult:
        self.clock.set(at)
        found = pull_stream(
            Database(self.engine), self.connection, self.landscape, self.source, "statements", clock=self.clock, trigger="test"
        )
        assert found.error is None
        return found

    def rows(self, query: str) -> list[Any]:
        with reading(self.engine) as conn:
            return [tuple(row) for row in conn.execute(sa.text(query))]

    def breaks(self) -> list[tuple[str, str, str | None]]:
        return self.rows(
            "select split_part(source_key, '|', 2), state, resolution from process.exception where cause = 'balance_chain' order by 1"
        )


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path) -> House:
    return House(engine, tmp_path / "in")


def test_the_missing_statement_closes_what_asked_for_it(house: House) -> None:
    """Two days are missing, by their balances and by their numbers. The later one comes first, and closes nothing yet."""
    house.drop("1.xml", house.statement("2026-05-12", "100.00", "110.00", "10.00", "1"))
    house.drop("4.xml", house.statement("2026-05-15", "130.00", "140.00", "10.00", "4"))
    house.pull()
    assert house.breaks() == [("chains", "new", None), ("sequence", "new", None)]
    house.drop("3.xml", house.statement("2026-05-14", "120.00", "130.00", "10.00", "3"))
    house.pull(MONDAY + timedelta(hours=1))
    assert [state for _, state, _ in house.breaks()] == ["new", "new"]
    house.drop("2.xml", house.statement("2026-05-13", "110.00", "120.00", "10.00", "2"))
    house.pull(MONDAY + timedelta(hours=2))
    came = "the missing statement came"
    assert house.breaks() == [("chains", "resolved", came), ("sequence", "resolved", came)]
    assert house.rows("select count(*) from canonical.bank_transaction") == [(4,)]
    house.drop("5.xml", house.statement("2026-05-18", "140.00", "150.00", "10.00", "5"))
    house.pull(MONDAY + timedelta(hours=3))
    assert len(house.breaks()) == 2


def test_a_missing_statement_that_comes_by_hand_closes_it_too(house: House) -> None:
    """`tidegate ingest` moves no cursor; what it brought is remembered all the same."""
    house.drop("1.xml", house.statement("2026-05-12", "100.00", "110.00", "10.00"))
    house.drop("3.xml", house.statement("2026-05-14", "120.00", "130.00", "10.00"))
    house.pull()
    assert house.breaks() == [("chains", "new", None)]
    path = house.folder.parent / "2.xml"
    path.write_bytes(house.statement("2026-05-13", "110.00", "120.01", "10.01"))
    ingest_file(Database(house.engine), house.landscape, house.connection, path, clock=house.clock)
    assert house.breaks() == [("chains", "new", None)]
    path.write_bytes(house.statement("2026-05-13", "110.00", "120.00", "10.00"))
    ingest_file(Database(house.engine), house.landscape, house.connection, path, clock=house.clock)
    assert house.breaks() == [("chains", "resolved", "the missing statement came")]


def waited_for(house: House) -> list[Any]:
    return house.rows("select source_key, cause, state from process.exception where cause in ('file_late', 'file_missing') order by id")


def test_a_file_that_is_due_is_late_then_missing_and_closes_when_it_comes(engine: sa.Engine, tmp_path: Path) -> None:
    """Two deliveries by one bank, each by its own cut-off; what a person is shown beforehand is what is then asked for."""
    german = {"label": "DE", "pattern": "de_*", "name": r"_(?P<period>\d{8})", "by": "09:00", "zone": "Europe/Berlin", "days_later": 1}
    british = {"label": "GB", "pattern": "gb_*", "by": "07:00", "zone": "Europe/London", "missing_after_hours": 6}
    house = House(engine, tmp_path / "in", expect=[german, british])
    house.drop("de_20260514.xml", house.statement("2026-05-14", "100.00", "110.00", "10.00"))
    house.pull()
    assert waited_for(house) == []
    with reading(engine) as conn:
        shown = files.of_connections(conn, [house.connection], now=MONDAY)["bank"]
    assert [line["file"] for line in shown if line["state"] == "expected"] == ["statements of DE 2026-05-18", "statements of GB 2026-05-19"]
    house.pull(datetime(2026, 5, 19, 7, 30, tzinfo=UTC))
    assert waited_for(house) == [("DE 2026-05-18", "file_late", "new"), ("GB 2026-05-19", "file_late", "new")]
    house.pull(datetime(2026, 5, 19, 13, 0, tzinfo=UTC))
    assert waited_for(house) == [("DE 2026-05-18", "file_late", "new"), ("GB 2026-05-19", "file_missing", "new")]
    house.drop("de_20260518.xml", house.statement("2026-05-18", "110.00", "120.00", "10.00"))
    house.pull(datetime(2026, 5, 19, 13, 5, tzinfo=UTC))
    assert waited_for(house) == [("DE 2026-05-18", "file_late", "resolved"), ("GB 2026-05-19", "file_missing", "new")]


@pytest.mark.parametrize(
    "expect",
    [{"by": "25:00"}, {"by": "09:00", "name": r"\d{8}"}, {"by": "09:00", "name": "("}, [{"by": "09:00"}, {"by": "10:00"}], "daily"],
)
def test_a_calendar_that_makes_no_sense_is_named(engine: sa.Engine, tmp_path: Path, expect: Any) -> None:
    """Two deliveries without a label could not be told apart."""
    with pytest.raises(ConfigError, match="expect"):
        House(engine, tmp_path / "in", expect=expect)

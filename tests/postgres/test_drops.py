"""Dropped files end to end on a real Postgres, from a real OpenSSH server: landed, refused, corrected, late, missing, and shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.live import files
from db.clock import FixedClock
from db.engine import reading
from sync.connections import Connection, Landscape
from sync.ingest import ingest_file
from sync.pull import PullResult, pull_stream
from sync.systems.flat_files import make_source
from sync.systems.flat_files.client import FlatFiles
from tests.drops.sshd import Sshd
from tests.postgres.synthetic import Database

MONDAY = datetime(2026, 5, 18, 8, 0, tzinfo=UTC)
KIND: dict[str, Any] = {
    "stream": "customers",
    "pattern": "c_*.csv",
    "name": r"_(?P<period>\d{8})_(?P<sequence>\d+)\.csv$",
    "trailer": {"marker": "T", "fields": ["records"]},
    "expect": {"by": "18:00", "zone": "Europe/Berlin"},
    "columns": {"NUMBER": {"required": True}, "NAME": {}},
    "entities": [{"entity": "customer", "key": "NUMBER", "fields": {"number": "NUMBER", "name": "NAME"}}],
}


class House:
    """A connection to the server's folder, a database, a clock that is set."""

    def __init__(self, engine: sa.Engine, server: Sshd, folder: Path, clock: FixedClock) -> None:
        folder.mkdir()
        self.engine, self.folder, self.clock = engine, folder, clock
        self.connection: Connection = server.connection({"folders": [str(folder)], "files": [KIND]})
        self.landscape = Landscape(connections=(self.connection,))
        self.source: FlatFiles = make_source(self.connection, self.landscape)

    def drop(self, name: str, *lines: str, trailer: str | None = None) -> Path:
        path = self.folder / name
        path.write_text("\n".join(["NUMBER,NAME", *lines, trailer or f"T,{len(lines)}"]) + "\n")
        return path

    def pull(self, at: datetime) -> PullResult:
        self.clock.set(at)
        return pull_stream(
            Database(self.engine), self.connection, self.landscape, self.source, "customers", clock=self.clock, trigger="test"
        )

    def rows(self, query: str) -> list[Any]:
        with reading(self.engine) as conn:
            return list(conn.execute(sa.text(query)))

    def waited_for(self) -> list[tuple[str, str, str]]:
        found = self.rows("select source_key, cause, state from process.exception where cause in ('file_late', 'file_missing') order by id")
        return [(row.source_key, row.cause, row.state) for row in found]

    def shown(self) -> list[tuple[str, str]]:
        with reading(self.engine) as conn:
            found = files.of_connections(conn, [self.connection], now=self.clock.now())
        return [(str(line["file"]), str(line["state"])) for line in found["drop"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(Path(tmp_path_factory.mktemp("sshd"))) as running:
        yield running


@pytest.fixture
def house(engine: sa.Engine, server: Sshd, tmp_path: Path) -> Iterator[House]:
    found = House(engine, server, tmp_path / "in", FixedClock(MONDAY))
    yield found
    found.source.close()


def test_a_late_file_is_one_exception_that_closes_itself(house: House) -> None:
    """Late, then missing, one row; when the file comes it is resolved; the page shows what is expected and what came."""
    house.pull(MONDAY)
    assert house.shown() == [("customers of 2026-05-18", "expected")]
    house.pull(MONDAY + timedelta(hours=9))
    house.pull(MONDAY + timedelta(hours=10))
    assert house.waited_for() == [("2026-05-18", "file_late", "new")]
    assert house.shown() == [("customers of 2026-05-18", "late"), ("customers of 2026-05-19", "expected")]
    house.pull(MONDAY + timedelta(hours=33))
    assert house.waited_for() == [("2026-05-18", "file_missing", "new"), ("2026-05-19", "file_late", "new")]
    house.drop("c_20260518_1.csv", "C1,One")
    result = house.pull(MONDAY + timedelta(hours=34))
    assert (result.state, result.counts.promoted) == ("done", 1)
    assert house.waited_for() == [("2026-05-18", "file_missing", "resolved"), ("2026-05-19", "file_late", "new")]
    assert house.shown()[-1] == ("c_20260518_1.csv", "received")
    assert (house.folder / "archive" / "c_20260518_1.csv").exists()


def test_a_number_passed_over_is_missing_until_it_comes(house: House) -> None:
    """A gap in the series is a verdict of the file after it, and an exception that closes itself."""
    house.drop("c_20260518_1.csv", "C1,One")
    house.pull(MONDAY)
    house.drop("c_20260519_3.csv", "C3,Three")
    house.pull(MONDAY + timedelta(hours=1))
    assert house.waited_for() == [("sequence 2", "file_missing", "new")]
    house.drop("c_20260518_2.csv", "C2,Two")
    house.pull(MONDAY + timedelta(hours=2))
    assert house.waited_for() == [("sequence 2", "file_missing", "resolved")]
    assert house.rows("select count(*) from canonical.customer")[0][0] == 3


def test_a_file_taken_in_by_hand_closes_it_too(house: House, tmp_path: Path) -> None:
    """A person who was sent the file by mail hands it in."""
    house.pull(MONDAY)
    house.pull(MONDAY + timedelta(hours=9))
    path = house.drop("c_20260518_1.csv", "C1,One").rename(tmp_path / "c_20260518_1.csv")
    taken = ingest_file(Database(house.engine), house.landscape, house.connection, path, clock=house.clock)
    assert (taken.counts.promoted, taken.refused) == (1, None)
    assert house.waited_for() == [("2026-05-18", "file_late", "resolved")]


def test_a_server_that_is_down_does_not_hide_a_late_file(house: House, tmp_path: Path) -> None:
    """The outage and the late file are two matters, and both are told."""
    house.pull(MONDAY)
    house.folder.rename(tmp_path / "gone")
    assert house.pull(MONDAY + timedelta(hours=9)).state == "failed"
    assert house.waited_for() == [("2026-05-18", "file_late", "new")]


def test_a_correction_is_a_new_version_and_the_old_bytes_stay(house: House) -> None:
    """Refused first, corrected under the same name: lands, both files are kept, and the conflict is a verdict."""
    house.drop("c_20260518_1.csv", "C1,One", trailer="T,2")
    assert house.pull(MONDAY).refused is not None
    assert house.rows("select count(*) from canonical.customer")[0][0] == 0
    assert house.shown()[-1] == ("c_20260518_1.csv", "refused")
    house.drop("c_20260518_1.csv", "C1,One")
    assert house.pull(MONDAY + timedelta(minutes=1)).counts.promoted == 1
    house.drop("c_20260518_1.csv", "C1,Uno")
    assert house.pull(MONDAY + timedelta(minutes=2)).counts.promoted == 1
    assert house.rows("select name from canonical.customer")[0][0] == "Uno"
    assert house.rows("select name from canonical.customer_history")[0][0] == "One"
    assert house.rows("select count(*) from raw.page")[0][0] == 3
    assert house.rows("select count(*) from process.control_total where verdict = 'file_conflict' and not agree")[0][0] == 2
    assert sorted(path.name for path in (house.folder / "archive").iterdir()) == ["c_20260518_1.csv", "c_20260518_1.csv.2"]
    assert sorted(path.name for path in (house.folder / "quarantine").iterdir()) == ["c_20260518_1.csv", "c_20260518_1.csv.reason.json"]

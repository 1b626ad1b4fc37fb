"""A bank that delivers over SFTP is read as one that drops into a folder here."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sync.connections import ConfigError, Connection, Landscape, LegalEntity
from sync.ports import Page, Pending
from sync.records import excerpt
from sync.systems.bank_files import make_source
from sync.systems.bank_files.client import BankFiles
from tests.contracts.suite_store import Store, pull
from tests.drops.sshd import Sshd
from tests.unit.statements.camt_files import Camt
from tests.unit.statements.test_mt import LINE, message

NOW = datetime(2026, 3, 3, 6, 0, tzinfo=UTC)
BERLIN = LegalEntity(code="DE01", name="Nordhafen GmbH", region="EMEA", currency="EUR", zone="Europe/Berlin")
CAMT = Camt("053", 8)


def source_of(server: Sshd, wall: float = 0, **options: object) -> BankFiles:
    connection = server.connection(dict(options), system="bank_files", legal_entities=("DE01",), name="bank")
    made = make_source(connection, Landscape(legal_entities=(BERLIN,)))
    made._arrivals._wall = lambda: wall
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_statements_on_a_server_land_and_are_filed_away(server: Sshd) -> None:
    """camt shows its end and is taken at once; a refused file is set aside with its reason; nothing is taken twice."""
    (server.drop / "a.xml").write_bytes(CAMT.document(CAMT.entry()))
    source = source_of(server)
    store = Store()
    done = pull(source, "statements", None, store, now=NOW)
    assert [row["amount"] for row in store.live("bank_transaction").values()] == [Decimal("60.5")]
    (server.drop / "b.xml").write_bytes(CAMT.document(CAMT.entry("60.49")))
    [page] = list(source.pull("statements", done.cursor, now=NOW))
    assert isinstance(page, Page)
    source.settled("statements", page, accepted=False, reason="it does not balance")
    source.close()
    assert names(server.drop / "archive") == ["a.xml"]
    assert names(server.drop / "quarantine") == ["b.xml", "b.xml.reason.txt"]
    assert names(server.drop) == ["archive", "quarantine"]


def test_a_file_without_an_end_is_taken_when_it_has_rested(server: Sshd) -> None:
    """Behind an MT940 message another may follow, and the server's clock is not ours: two looks apart have to show the same file."""
    (server.drop / "a.sta").write_bytes(message(*LINE).encode())
    first = source_of(server, wall=1000)
    [waits] = list(first.pull("statements", None, now=NOW))
    first.close()
    assert isinstance(waits, Pending)
    soon = source_of(server, wall=1003)
    [still] = list(soon.pull("statements", waits.cursor, now=NOW))
    soon.close()
    assert isinstance(still, Pending)
    later = source_of(server, wall=1010)
    [page] = list(later.pull("statements", still.cursor, now=NOW))
    assert isinstance(page, Page)
    assert later.map("statements", page).frames["bank_transaction"].height == 1
    later.close()


def test_a_marker_says_that_the_file_is_whole(server: Sshd) -> None:
    """With `done_suffix` a file waits for its marker, however it looks, and both are filed away."""
    (server.drop / "a.sta").write_bytes(message(*LINE).encode())
    source = source_of(server, done_suffix=".done")
    assert list(source.pull("statements", None, now=NOW)) == []
    (server.drop / "a.sta.done").write_bytes(b"")
    pull(source, "statements", None, Store(), now=NOW)
    source.close()
    assert names(server.drop / "archive") == ["a.sta", "a.sta.done"]


def test_the_connection_proves_itself(server: Sshd) -> None:
    """Reached, known, let in, allowed to move; and what waits there can be read."""
    (server.drop / "a.xml").write_bytes(CAMT.document(CAMT.entry()))
    source = source_of(server)
    found = list(source.probe(now=NOW))
    source.close()
    assert all(finding.ok for finding in found), found
    assert found[-1].words == "a.xml: camt.053.001.08, 4 records"


def test_wrong_options_are_named() -> None:
    """An option that nobody knows, and a folder that was not given."""
    connection = Connection(name="bank", system="bank_files", region="EMEA", options={"foldr": "/tmp"})
    with pytest.raises(ConfigError, match="foldr"):
        make_source(connection, Landscape())
    [finding] = list(make_source(Connection(name="bank", system="bank_files", region="EMEA"), Landscape()).probe(now=NOW))
    assert "tidegate ingest" in finding.words


def test_no_single_line_is_shown_as_a_record_of_a_statement(tmp_path: Path) -> None:
    """Of MT940 and BAI2 no line is a record by itself: a person is shown the file, with its letters right."""
    (tmp_path / "a.sta").write_bytes(message(*LINE).replace("ACME", "Müller").encode("cp1252"))
    connection = Connection(name="bank", system="bank_files", region="EMEA", options={"folder": str(tmp_path), "settle_seconds": 0})
    [page] = list(make_source(connection, Landscape()).pull("statements", None, now=NOW))
    assert isinstance(page, Page)
    shown = excerpt(page, 2)
    assert shown.startswith(":20:STARTUMS")
    assert "Müller" in shown

"""A declared drop on a real OpenSSH server passes the contract suite of every adapter, and is filed away on the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.connections import Connection, Landscape
from sync.errors import DataError, IdentityError, PermanentError, TransientError
from sync.ports import Page, Pending, Source
from sync.systems.flat_files import make_source
from sync.systems.flat_files.client import FlatFiles
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.test_flat_files import OPTIONS, Drop
from tests.drops.sshd import Sshd
from tests.unit.test_flat_files_drop import KIND, NOW, names, write


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(Path(tmp_path_factory.mktemp("sshd"))) as running:
        yield running


class RemoteDrop(Drop):
    """The folder of the parent case, seen through the server."""

    def __init__(self, server: Sshd) -> None:
        super().__init__()
        self._server = server
        self._opened: list[FlatFiles] = []

    def connection(self) -> Connection:
        return self._server.connection({**OPTIONS, "folders": [str(self._folder)]})

    def source(self) -> Source:
        source = super().source()
        assert isinstance(source, FlatFiles)
        self._opened.append(source)
        return source

    def close(self) -> None:
        for source in self._opened:
            source.close()
        super().close()


class TestFlatFilesOverSftp(AdapterSuite):
    @pytest.fixture
    def case(self, server: Sshd) -> Iterator[AdapterCase]:
        with RemoteDrop(server) as case:
            yield case


@pytest.fixture
def folder(server: Sshd, tmp_path: Path) -> Path:
    found = tmp_path / "in"
    found.mkdir()
    return found


def opened(server: Sshd, folder: Path, **kind: Any) -> FlatFiles:
    sftp = kind.pop("sftp", {})
    return make_source(server.connection({"folders": [str(folder)], "files": [{**KIND, **kind}], "sftp": sftp}), Landscape())


def pulled(source: FlatFiles, cursor: Any = None) -> list[Page | Pending]:
    return list(source.pull("customers", cursor, now=NOW))


def test_files_are_taken_archived_and_set_aside_on_the_server(server: Sshd, folder: Path) -> None:
    """In their order; a refused one with its reason beside it; the same bytes again are nothing."""
    source = opened(server, folder, trailer={"marker": "T", "fields": ["records"]})
    write(folder, "c_10.csv", "a", "T,1")
    write(folder, "c_9.csv", "b")
    first, second = pulled(source)
    assert isinstance(first, Page)
    assert isinstance(second, Page)
    assert [first.name, second.name] == ["c_9.csv", "c_10.csv"]
    with pytest.raises(DataError):
        source.map("customers", first)
    source.settled("customers", first, accepted=False, reason="cut")
    source.settled("customers", second, accepted=True, reason=None)
    assert names(folder) == ["archive", "quarantine"]
    assert json.loads((folder / "quarantine" / "c_9.csv.reason.json").read_text())["reason"] == "cut"
    write(folder, "c_10.csv", "a", "T,1")
    assert pulled(source, second.cursor) == []
    assert names(folder / "archive") == ["c_10.csv", "c_10.csv.2"]
    source.close()


def test_another_file_of_the_same_name_size_and_second_is_another_file(server: Sshd, folder: Path) -> None:
    """Only the bytes tell: they are neither taken for the old ones nor moved away with them."""
    source = opened(server, folder)
    write(folder, "c_1.csv", "a")
    [page] = pulled(source)
    assert isinstance(page, Page)
    write(folder, "c_1.csv", "b")
    source.settled("customers", page, accepted=True, reason=None)
    assert (folder / "c_1.csv").exists()
    [again] = pulled(source, page.cursor)
    assert isinstance(again, Page)
    assert "came before with other content" in again.headers["conflict"]
    source.close()


def test_a_file_that_grows_is_waited_for_across_pulls(server: Sshd, folder: Path) -> None:
    """The pull ends with Pending; its cursor, in another process, says since when the file has been the same."""
    write(folder, "c_1.csv", "a")
    [waiting] = pulled(opened(server, folder, stable_seconds=2))
    assert isinstance(waiting, Pending)
    assert "may still grow" in waiting.words
    wall = 4e9
    connection = server.connection({"folders": [str(folder)], "files": [{**KIND, "stable_seconds": 2}]})
    later = FlatFiles(connection, Landscape(), wall=lambda: wall)
    [page] = later.pull("customers", waiting.cursor, now=NOW)
    assert isinstance(page, Page)
    write(folder, "c_2.csv", "b")
    assert isinstance(list(later.pull("customers", page.cursor, now=NOW))[-1], Pending)
    later.close()


def test_files_land_though_they_can_not_be_moved(tmp_path: Path, folder: Path) -> None:
    """A missing right stops no data; the stream says once per pull what is missing."""
    with Sshd(tmp_path, sftp="-P rename") as server:
        source = opened(server, folder)
        write(folder, "c_1.csv", "a")
        [page] = pulled(source)
        assert isinstance(page, Page)
        source.settled("customers", page, accepted=True, reason=None)
        write(folder, "c_2.csv", "b")
        found = source.pull("customers", page.cursor, now=NOW)
        second = next(found)
        assert isinstance(second, Page)
        assert (second.name, second.complete_until) == ("c_2.csv", None)
        with pytest.raises(PermanentError, match="allow renaming"):
            next(found)
        source.close()


def test_the_probe_goes_from_the_address_to_the_first_file(server: Sshd, folder: Path) -> None:
    """Every step in words; the first that fails ends it."""
    write(folder, "c_1.csv", "a")
    source = opened(server, folder)
    findings = list(source.probe(now=NOW))
    assert [finding.ok for finding in findings] == [True] * len(findings)
    assert [finding.what.split()[0] for finding in findings] == ["server", "folder", "archive", "clock", "files", "c_1.csv"]
    source.close()
    strange = opened(server, folder, sftp={"host_key": "SHA256:" + "A" * 43})
    [finding] = strange.probe(now=NOW)
    assert (finding.ok, "shows the key SHA256:" in finding.words) == (False, True)
    with pytest.raises(IdentityError):
        pulled(strange)


def test_a_server_that_is_gone_is_an_outage(server: Sshd, folder: Path) -> None:
    """Nothing is taken for an empty drop."""
    source = opened(server, folder / "gone")
    with pytest.raises(TransientError, match="can't be listed"):
        pulled(source)
    source.close()

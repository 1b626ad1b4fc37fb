"""Files are taken once, when they are complete, in their order, and are filed away when they are settled."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sync.connections import Connection, Landscape
from sync.errors import DataError, PermanentError, TransientError
from sync.ports import Cursor, Page
from sync.systems.flat_files import memory
from sync.systems.flat_files.client import FlatFiles

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
KIND: dict[str, Any] = {
    "stream": "customers",
    "pattern": "c_*.csv",
    "name": r"_(?P<sequence>\d+)\.csv$",
    "columns": {"NUMBER": {"required": True}},
    "entities": [{"entity": "customer", "key": "NUMBER", "fields": {"number": "NUMBER"}}],
}


def drop(folder: Path, wall: float = 2e9, archive: str = "archive", **kind: Any) -> FlatFiles:
    options = {"folders": [str(folder)], "archive": archive, "files": [{**KIND, **kind}]}
    return FlatFiles(Connection(name="drop", system="flat_files", region="EMEA", options=options), Landscape(), wall=lambda: wall)


def write(folder: Path, name: str, *numbers: str) -> Path:
    path = folder / name
    path.write_text("\n".join(["NUMBER", *numbers]) + "\n")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pulled(source: FlatFiles, cursor: Cursor | None = None) -> list[Page]:
    return [page for page in source.pull("customers", cursor, now=NOW) if isinstance(page, Page)]


def test_files_come_in_the_order_of_their_sequence(tmp_path: Path) -> None:
    """Sequence 9 comes before 10, and only the last page of a pull says that the drop is empty."""
    for number in (10, 9, 11):
        write(tmp_path, f"c_{number}.csv", str(number))
    pages = pulled(drop(tmp_path))
    assert [page.name for page in pages] == ["c_9.csv", "c_10.csv", "c_11.csv"]
    assert [page.complete_until for page in pages] == [None, None, NOW]


def test_a_gap_in_the_sequence_is_a_verdict(tmp_path: Path) -> None:
    """A missing file between two is told by the control totals of the later one."""
    source = drop(tmp_path)
    for number in (1, 2, 4):
        write(tmp_path, f"c_{number}.csv", str(number))
    verdicts = [source.map("customers", page).control_totals[-1] for page in pulled(source)]
    assert [(v.verdict, v.agree) for v in verdicts[1:]] == [("sequence", True), ("sequence", False)]
    assert verdicts[2].subject == "c_4.csv: sequence 4 after 2"


def test_the_same_file_again_is_nothing_and_a_changed_one_is_a_new_page(tmp_path: Path) -> None:
    """Name and digest say whether a file was taken; another content under the name comes again, with a note."""
    source = drop(tmp_path)
    path = write(tmp_path, "c_1.csv", "a")
    [page] = pulled(source)
    source.settled("customers", page, accepted=True, reason=None)
    write(tmp_path, "c_1.csv", "a")
    assert pulled(source, page.cursor) == []
    assert not path.exists(), "a file that was committed before is filed away"
    write(tmp_path, "c_1.csv", "b")
    [again] = pulled(source, page.cursor)
    assert "came before with other content" in again.headers["conflict"]
    write(tmp_path, "c_01.csv", "c")
    assert "sequence 1" in pulled(source, again.cursor)[0].headers["conflict"]


def test_settled_files_leave_the_folder(tmp_path: Path) -> None:
    """Accepted files go to the archive, refused ones to quarantine beside their reason, both with their manifest."""
    source = drop(tmp_path, manifest={})
    for name in ("c_1.csv", "c_2.csv"):
        write(tmp_path, name, name)
        (tmp_path / f"{name}.manifest.json").write_text("{}")
    first, second = pulled(source)
    source.settled("customers", first, accepted=True, reason=None)
    source.settled("customers", second, accepted=False, reason="totals disagree")
    assert names(tmp_path / "archive") == ["c_1.csv", "c_1.csv.manifest.json"]
    assert names(tmp_path / "quarantine") == ["c_2.csv", "c_2.csv.manifest.json", "c_2.csv.reason.json"]
    assert json.loads((tmp_path / "quarantine" / "c_2.csv.reason.json").read_text())["reason"] == "totals disagree"
    assert names(tmp_path) == ["archive", "quarantine"]


def test_a_settled_name_never_overwrites_an_older_file(tmp_path: Path) -> None:
    """The archive keeps both files of one name."""
    source = drop(tmp_path)
    for content in ("a", "b"):
        write(tmp_path, "c_1.csv", content)
        [page] = pulled(source)
        source.settled("customers", page, accepted=True, reason=None)
    assert names(tmp_path / "archive") == ["c_1.csv", "c_1.csv.2"]


def test_a_file_that_changed_since_it_was_pulled_is_left_alone(tmp_path: Path) -> None:
    """Only the very bytes that were committed are filed away."""
    source = drop(tmp_path)
    path = write(tmp_path, "c_1.csv", "a")
    [page] = pulled(source)
    write(tmp_path, "c_1.csv", "b")
    source.settled("customers", page, accepted=True, reason=None)
    assert path.read_text().endswith("b\n")


@pytest.mark.parametrize("name", ["c_1.csv.tmp", ".c_1.csv", "c_1.csv.filepart"])
def test_a_file_under_a_temporary_name_waits(tmp_path: Path, name: str) -> None:
    """What its sender has not renamed yet is not there."""
    write(tmp_path, name, "a")
    assert pulled(drop(tmp_path, pattern="*")) == []


def test_a_file_waits_for_its_manifest_its_marker_and_its_rest(tmp_path: Path) -> None:
    """A file without its manifest or marker, or younger than the time it has to rest, is not complete."""
    path = write(tmp_path, "c_1.csv", "a")
    os.utime(path, (1000, 1000))
    assert pulled(drop(tmp_path, manifest={})) == []
    assert pulled(drop(tmp_path, done_suffix=".done")) == []
    assert pulled(drop(tmp_path, wall=1009, stable_seconds=10)) == []
    assert len(pulled(drop(tmp_path, wall=1010, stable_seconds=10))) == 1
    (tmp_path / "c_1.csv.done").touch()
    assert len(pulled(drop(tmp_path, done_suffix=".done"))) == 1


def test_without_an_archive_files_stay_and_are_known(tmp_path: Path) -> None:
    """A folder that we may not tidy is read all the same, each file once."""
    source = drop(tmp_path, archive="")
    path = write(tmp_path, "c_1.csv", "a")
    [page] = pulled(source)
    source.settled("customers", page, accepted=True, reason=None)
    assert path.exists()
    assert pulled(source, page.cursor) == []


def test_what_stays_in_the_folder_is_never_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files stay: forgotten, an old one would be taken anew. What has left the folder makes room."""
    monkeypatch.setattr(memory, "REMEMBERED", 3)
    source = drop(tmp_path, archive="")
    for number in range(1, 7):
        write(tmp_path, f"c_{number}.csv", str(number))
    pages = pulled(source)
    assert len(pages) == 6
    assert pulled(source, pages[-1].cursor) == []
    for number in range(1, 5):
        (tmp_path / f"c_{number}.csv").unlink()
    write(tmp_path, "c_7.csv", "7")
    [page] = pulled(source, pages[-1].cursor)
    assert page.cursor is not None
    assert [entry[0] for entry in page.cursor["files"]] == ["c_5.csv", "c_6.csv", "c_7.csv"]


def test_a_missing_folder_is_an_outage(tmp_path: Path) -> None:
    """A folder that is not there, a share that is not mounted, is retried, never taken for empty."""
    with pytest.raises(TransientError, match="can't be listed"):
        pulled(drop(tmp_path / "gone"))


def test_a_refused_file_left_in_the_folder_goes_to_quarantine(tmp_path: Path) -> None:
    """A worker killed between the commit of a refused file and its filing leaves the same as one that was not."""
    source = drop(tmp_path, trailer={"marker": "T", "fields": ["records"]})
    write(tmp_path, "c_1.csv", "a")
    [page] = pulled(source)
    with pytest.raises(DataError):
        source.map("customers", page)
    assert pulled(source, page.cursor) == []
    assert "c_1.csv" in names(tmp_path / "quarantine")


def test_one_file_is_read_from_anywhere(tmp_path: Path) -> None:
    """A page of a single file has no cursor; settling it moves nothing that lies outside our folders."""
    (tmp_path / "in").mkdir()
    source = drop(tmp_path / "in")
    path = write(tmp_path, "c_1.csv", "a", "b")
    page = source.page_of(path)
    assert page.cursor is None
    assert source.map(source.stream_of(path), page).records == 2
    source.settled("customers", page, accepted=True, reason=None)
    assert path.exists()


def test_an_unknown_stream_is_refused_in_words(tmp_path: Path) -> None:
    """The error names the streams that there are."""
    with pytest.raises(PermanentError, match="it has: customers"):
        list(drop(tmp_path).pull("orders", None, now=NOW))


def test_the_probe_tells_what_waits(tmp_path: Path) -> None:
    """The connection test names folders, waiting files and how the newest of them reads."""
    write(tmp_path, "c_1.csv", "a")
    findings = list(drop(tmp_path).probe(now=NOW))
    assert all(finding.ok for finding in findings)
    assert findings[-1].words.startswith("1 lines")
    assert not next(iter(drop(tmp_path / "gone").probe(now=NOW))).ok

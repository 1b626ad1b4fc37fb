"""A folder here and a folder on an OpenSSH server are the same to whoever reads dropped files."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.drops import sftp
from sync.drops.arrivals import Arrivals, Signs, left_alone
from sync.drops.folder import Folder
from sync.drops.listing import Listing
from sync.drops.options import DropOptions
from sync.drops.place import HEAD_BYTES, Place
from sync.drops.places import places_of
from sync.errors import TransientError
from tests.drops.sshd import Sshd


@pytest.fixture(params=["folder", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Place, Path]]:
    if request.param == "folder":
        yield Folder(str(tmp_path), "drop"), tmp_path
        return
    server: Sshd = request.getfixturevalue("server")
    connection = server.connection({})
    [found] = places_of(connection, DropOptions.model_validate(connection.options))
    yield found, server.drop
    found.close()


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_only_plain_files_of_the_folder_itself_are_seen(place: tuple[Place, Path]) -> None:
    """No link that leads out, no folder, no pipe; a name that is no UTF-8 hides nobody."""
    found, folder = place
    (folder / "b.csv").write_bytes(b"12")
    (folder / "link.csv").symlink_to("/etc/hostname")
    (folder / "inner").mkdir()
    os.mkfifo(folder / "pipe.csv")
    Path(os.fsdecode(os.fsencode(folder) + b"/a\xf1o.csv")).write_bytes(b"1")
    seen = found.look()
    assert [(each.name, each.size) for each in seen] == [("a\\xf1o.csv", 1), ("b.csv", 2)]
    assert [found.read(each, 100) for each in seen] == [b"1", b"12"]
    assert found.move(seen[0], "archive") == "a\\xf1o.csv"
    assert [os.fsencode(each.name) for each in (folder / "archive").iterdir()] == [b"a\xf1o.csv"]


def test_a_file_is_read_whole_or_not_at_all(place: tuple[Place, Path]) -> None:
    """Several steps of bytes arrive in order; a file that changed since it was seen is left for the next look."""
    found, folder = place
    body = os.urandom(700_001)
    (folder / "a.bin").write_bytes(body)
    [seen] = found.look()
    read = found.read(seen, 10**6)
    assert read is not None
    assert hashlib.sha256(read).digest() == hashlib.sha256(body).digest()
    with (folder / "a.bin").open("ab") as file:
        file.write(b"more")
    assert found.read(seen, 10**6) is None
    [seen] = found.look()
    (folder / "a.bin").unlink()
    assert found.read(seen, 10**6) is None
    (folder / "a.bin").symlink_to("/etc/hostname")
    assert found.read(seen, 10**6) is None


def test_of_a_file_beyond_the_bound_only_the_head_is_read(place: tuple[Place, Path]) -> None:
    """A huge file costs its first bytes, which are kept as evidence."""
    found, folder = place
    with (folder / "huge.csv").open("wb") as file:
        file.write(b"head")
        file.truncate(3 << 30)
    [seen] = found.look()
    assert seen.size == 3 << 30
    body = found.read(seen, 1 << 20)
    assert body is not None
    assert (len(body), body[:4]) == (HEAD_BYTES, b"head")


def test_a_move_overwrites_nothing(place: tuple[Place, Path]) -> None:
    """The archive keeps every file of one name."""
    found, folder = place
    for number in (1, 2, 3):
        (folder / "a.csv").write_text(str(number))
        [seen] = found.look()
        assert found.move(seen, "archive") == ("a.csv" if number == 1 else f"a.csv.{number}")
    assert names(folder / "archive") == ["a.csv", "a.csv.2", "a.csv.3"]
    assert (folder / "archive" / "a.csv.2").read_text() == "2"


def test_a_folder_that_is_not_there_is_an_outage(place: tuple[Place, Path]) -> None:
    """Never an empty folder: a mount that is gone would look like a quiet day."""
    found, folder = place
    folder.rename(folder.with_name("elsewhere"))
    try:
        with pytest.raises(TransientError, match="can't be listed"):
            found.look()
        assert not all(finding.ok for finding in found.prove(("archive",)))
    finally:
        folder.with_name("elsewhere").rename(folder)


def test_the_proof_leaves_nothing_behind(place: tuple[Place, Path]) -> None:
    """Listing, moving and the clock are tried with a file of ours, which is taken away again."""
    found, folder = place
    (folder / "a.csv").write_text("1")
    findings = list(found.prove(("archive", "quarantine")))
    assert [finding.ok for finding in findings] == [True] * len(findings)
    assert any("clock" in finding.words for finding in findings)
    assert names(folder) == ["a.csv", "archive", "quarantine"]
    assert names(folder / "archive") == names(folder / "quarantine") == []


def test_a_file_waits_for_its_marker_and_its_manifest(place: tuple[Place, Path]) -> None:
    """Beside the file's whole name, or in place of its extension."""
    found, folder = place
    arrivals = Arrivals([found], DropOptions())
    (folder / "a.csv").write_text("1")
    both = Signs("*.csv", done_suffix=".done", done_replaces=True, manifest_suffix=".json")
    assert arrivals.look(both).complete == ()
    (folder / "a.done").touch()
    assert arrivals.look(both).complete == ()
    (folder / "a.csv.json").write_text("{}")
    [dropped] = arrivals.look(both).complete
    assert dropped.manifest is not None
    assert (dropped.manifest.name, [each.name for each in dropped.companions]) == ("a.csv.json", ["a.done", "a.csv.json"])
    arrivals.settle(dropped, accepted=False, reason="totals disagree")
    assert names(folder / "quarantine") == ["a.csv", "a.csv.json", "a.csv.reason.json", "a.done"]
    assert "totals disagree" in (folder / "quarantine" / "a.csv.reason.json").read_text()


def test_companions_left_behind_are_found(place: tuple[Place, Path]) -> None:
    """We were stopped after the file had been moved: its marker is an orphan, and known to be one of a file that was taken."""
    found, folder = place
    arrivals = Arrivals([found], DropOptions())
    signs = Signs("*.csv", done_suffix=".done")
    for name in ("a.csv.done", "b.csv.done"):
        (folder / name).touch()
    orphans = arrivals.look(signs).orphans
    assert [each.file.name for each in left_alone(orphans, signs, lambda name: name == "a.csv")] == ["a.csv.done"]


def test_a_file_under_a_temporary_name_is_not_there(place: tuple[Place, Path]) -> None:
    """What its sender has not renamed yet waits."""
    found, folder = place
    for name in ("a.csv.tmp", ".a.csv", "a.csv.filepart", "a.csv.part"):
        (folder / name).touch()
    assert Arrivals([found], DropOptions()).look(Signs("*")).complete == ()


def test_a_growing_file_rests_before_it_is_taken(place: tuple[Place, Path]) -> None:
    """The same size and time at two looks far enough apart; what our own clock stamps needs one look when it is old enough."""
    found, folder = place
    now = time.time()
    arrivals = Arrivals([found], DropOptions(), wall=lambda: now)
    signs = Signs("*.csv", stable_seconds=10)
    (folder / "a.csv").write_text("1")
    first = arrivals.look(signs)
    assert (first.complete, len(first.growing)) == ((), 0 if found.own_clock else 1)
    now += 5
    assert arrivals.look(signs, first.growing).complete == ()
    (folder / "a.csv").write_text("12")
    second = arrivals.look(signs, first.growing)
    assert second.complete == ()
    now += 12
    assert [each.file.name for each in arrivals.look(signs, second.growing).complete] == ["a.csv"]
    if not found.own_clock:
        assert arrivals.look(signs).complete == (), "another machine's clock says nothing about an age"


def test_a_stamp_from_the_future_needs_two_looks(tmp_path: Path) -> None:
    """A share whose clock is ahead would never let a file grow old."""
    now = time.time()
    (tmp_path / "a.csv").write_text("1")
    os.utime(tmp_path / "a.csv", (now + 10**6, now + 10**6))
    arrivals = Arrivals([Folder(str(tmp_path), "drop")], DropOptions(), wall=lambda: now)
    signs = Signs("*.csv", stable_seconds=10)
    first = arrivals.look(signs)
    assert first.complete == ()
    now += 12
    assert len(arrivals.look(signs, first.growing).complete) == 1


def test_a_file_that_another_worker_filed_away_is_done(place: tuple[Place, Path]) -> None:
    """Whoever comes second finds it done: no error, and no file twice."""
    found, folder = place
    (folder / "a.csv").write_bytes(b"a")
    [seen] = found.look()
    assert [found.move(seen, "archive"), found.move(seen, "archive")] == ["a.csv", "a.csv"]
    assert names(folder / "archive") == ["a.csv"]


def test_two_workers_at_the_same_moment_overwrite_nothing(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one makes the folder, and puts a file of this name there, just after we looked."""
    connection = server.connection({})
    [found] = places_of(connection, DropOptions.model_validate(connection.options))
    (server.drop / "b.csv").write_bytes(b"ours")
    [seen] = found.look()
    (server.drop / "archive").mkdir()
    (server.drop / "archive" / "b.csv").write_bytes(b"another")
    asked: set[bytes] = set()

    def too_early(client: Listing, path: bytes) -> bool:
        if path in asked:
            return is_there(client, path)
        asked.add(path)
        return False

    is_there = sftp._is_there
    monkeypatch.setattr(sftp, "_is_there", too_early)
    assert found.move(seen, "archive") == "b.csv.2"
    assert (server.drop / "archive" / "b.csv").read_bytes() == b"another"
    assert (server.drop / "archive" / "b.csv.2").read_bytes() == b"ours"
    found.close()

"""The legacy ERP's file server as any SFTP client sees it: who is let in, what he may do, and what the fault dial does to him."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import paramiko
import pytest

import sandbox
from sandbox.sftp.keys import strange_key
from tests.unit.sandbox.conftest import Box

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def own_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    state = tmp_path_factory.mktemp("sandbox")
    with sandbox.running(state, customers=12, history_days=40, start_at=OPENED) as one, httpx.Client(timeout=20) as http:
        yield Box(one, http)


@pytest.fixture
def box(own_box: Box) -> Iterator[Box]:
    yield own_box
    own_box.control("DELETE", "faults")


@contextmanager
def session(box: Box, key: paramiko.PKey | None = None, user: str | None = None) -> Iterator[paramiko.SFTPClient]:
    """A session of an SFTP client that accepts whatever key the server shows."""
    told = box.running.system("legacy-latam")
    transport = paramiko.Transport((told["host"], int(told["port"])))
    transport.daemon = True
    try:
        partner = paramiko.Ed25519Key.from_private_key_file(told["private_key"])
        transport.connect(username=user or told["user"], pkey=key or partner)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client
    finally:
        transport.close()


def shown_key(box: Box) -> paramiko.PKey:
    with session(box) as client:
        channel = client.get_channel()
        assert channel is not None
        return channel.get_transport().get_remote_server_key()


def folder(box: Box) -> Path:
    return Path(box.running.system("legacy-latam")["drop"])


def test_the_server_shows_the_key_that_the_manifest_names(box: Box) -> None:
    """The fingerprint is that of `ssh-keygen -l`; the keys lie in files for their owner only."""
    told = box.running.system("legacy-latam")
    assert getattr(shown_key(box), "fingerprint", None) == told["host_key"]
    key = Path(told["private_key"])
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.with_name("host_key").stat().st_mode) == 0o600


def test_only_the_partner_is_let_in(box: Box) -> None:
    """Neither another key nor another user."""
    for wrong in ({"key": strange_key()}, {"user": "root"}):
        with pytest.raises(paramiko.AuthenticationException), session(box, **wrong):
            pass


def test_a_home_is_listed_read_and_tidied_and_nothing_lies_above_it(box: Box) -> None:
    """Files come whole; a rename never overwrites; no path and no link leads out."""
    (folder(box) / "outward").symlink_to("/etc")
    (folder(box) / "passwords").symlink_to("/etc/passwd")
    with session(box) as client:
        names = client.listdir("/")
        [items] = [name for name in names if re.fullmatch(r"openitems_MX01_\d{8}_000001\.csv", name)]
        assert f"{items}.manifest.json" in names
        with client.open(items) as file:
            assert file.read() == (folder(box) / items).read_bytes()
        assert client.listdir("../../..") == names
        with pytest.raises(FileNotFoundError):
            client.stat("/etc/passwd")
        with pytest.raises(OSError, match="Failure"):
            client.open("/passwords")
        with pytest.raises(OSError):  # noqa: PT011 - what the system calls it differs
            client.listdir("/outward")
        client.mkdir("archive")
        client.rename(items, f"archive/{items}")
        with pytest.raises(OSError, match="Failure"):
            client.rename(f"{items}.manifest.json", f"archive/{items}")
    assert (folder(box) / "archive" / items).is_file()


def test_the_dial_hampers_the_server(box: Box) -> None:
    """Outage, a file cut in the middle, a strange key, a refused login, no rights: each for as many times as was said."""
    (folder(box) / "long.csv").write_bytes(b"x" * 5000)
    box.fault("legacy-latam", "outage", times=1)
    with pytest.raises((paramiko.SSHException, EOFError, OSError)), session(box):
        pass
    box.fault("legacy-latam", "truncated", times=1)
    with session(box) as client, suppress(OSError, EOFError), client.open("long.csv") as file:
        assert len(_read(file)) == 2500
    known = box.running.system("legacy-latam")["host_key"]
    box.fault("legacy-latam", "other_host_key", times=1)
    assert getattr(shown_key(box), "fingerprint", None) != known
    box.fault("legacy-latam", "login_refused", times=1)
    with pytest.raises(paramiko.AuthenticationException), session(box):
        pass
    box.fault("legacy-latam", "read_only")
    with session(box) as client, pytest.raises(PermissionError):
        client.rename("long.csv", "short.csv")
    box.control("DELETE", "faults")
    with session(box) as client, client.open("long.csv") as file:
        assert file.read() == b"x" * 5000
    assert getattr(shown_key(box), "fingerprint", None) == known


def _read(file: paramiko.SFTPFile) -> bytes:
    """What comes until the connection breaks."""
    body = b""
    with suppress(OSError, EOFError, paramiko.SSHException):
        while part := file.read(500):
            body += part
    return body


def test_the_banks_folder_has_no_server_to_be_hampered(box: Box) -> None:
    """The dial refuses what can't be."""
    wrong = {"system": "bank-emea", "kind": "other_host_key"}
    assert box.http.post(f"{box.running.control}/control/faults", json=wrong).status_code == 400


def test_keys_and_port_stay_across_a_restart(tmp_path: Path) -> None:
    """Who pinned the key finds the server again."""
    told: list[dict[str, Any]] = []
    for _ in range(2):
        with sandbox.running(tmp_path, customers=6, history_days=3, start_at=OPENED) as one:
            told.append(one.system("legacy-latam"))
    assert {key: told[0][key] for key in ("host_key", "private_key", "user")} == {
        key: told[1][key] for key in ("host_key", "private_key", "user")
    }


def test_customers_come_as_flat_idocs_too(box: Box) -> None:
    """524 and 1063 positions, one IDoc per customer of the delimited file beside it, and a marker."""
    [file] = folder(box).glob("DEBMAS_MX01_*_000001.txt")
    assert file.with_name(f"{file.name}.done").exists()
    lines = file.read_bytes().decode("latin-1").split("\r\n")[:-1]
    assert {len(line) for line in lines} == {524, 1063}
    masters = {line[63 + 3 : 63 + 13] for line in lines if line.startswith("E2KNA1M")}
    world = box.running.world
    assert masters == {c.number for c in world.customers.values() if c.entity == "MX01"}
    assert sum(line.startswith("EDI_DC40") for line in lines) == len(masters)

"""What can go wrong with a file server, over real sockets: every fault ends in time, in words, with nothing half read."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from sync.connections import ConfigError, Connection
from sync.drops.host_keys import _fingerprint
from sync.drops.options import DropOptions
from sync.drops.place import Place
from sync.drops.places import places_of
from sync.errors import AuthError, IdentityError, PermanentError, TransientError
from tests.drops.hostile_wire import Relay
from tests.drops.sshd import Sshd, free_port, key_pair


def opened(connection: Connection) -> Place:
    [place] = places_of(connection, DropOptions.model_validate(connection.options))
    return place


def by(server: Sshd, relay: Relay | None = None, **sftp: Any) -> Place:
    port = {"port": relay.port} if relay else {}
    return opened(server.connection({"sftp": {**port, **sftp}}))


@pytest.fixture
def relay(server: Sshd) -> Iterator[Relay]:
    with Relay(server.port) as between:
        yield between


def finger(server: Sshd, kind: str) -> str:
    return _fingerprint(base64.b64decode(server.host_keys[kind].split()[1]))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_pinned_key_may_be_any_of_the_servers(server: Sshd, kind: str) -> None:
    """By fingerprint or by the key itself, the one that is pinned is asked for."""
    for known in (finger(server, kind), server.host_keys[kind]):
        place = by(server, host_key=known)
        assert place.look() == []
        place.close()


def test_a_strange_host_key_stops_before_anything_is_sent(server: Sshd) -> None:
    """The error shows both fingerprints; the server sees no user and no key."""
    stranger = key_pair()[1]
    before = (server.home / "sshd.log").read_text()
    with pytest.raises(IdentityError) as caught:
        by(server, host_key=[stranger, "SHA256:" + "A" * 43]).look()
    assert finger(server, "ed25519") in caught.value.detail
    assert "SHA256:" + "A" * 43 in caught.value.detail
    said = (server.home / "sshd.log").read_text()[len(before) :]
    assert "Accepted" not in said
    assert "publickey for" not in said


def test_known_hosts_names_the_server_by_its_port(server: Sshd, tmp_path: Path) -> None:
    """A known_hosts file does as well, also hashed; a revoked key is never accepted, a server it does not name is a mistake of the settings."""
    known = tmp_path / "known_hosts"
    plain = f"[127.0.0.1]:{server.port} {server.host_keys['rsa']}\n"
    hashed = paramiko.HostKeys.hash_host(f"[127.0.0.1]:{server.port}") + " " + server.host_keys["rsa"] + "\n"
    for line in (plain, hashed, plain.replace("127.0.0.1", "127.0.0.?")):
        known.write_text("# ours\n\n|1|none|none ssh-rsa !!\n" + line)
        assert by(server, host_key=[], known_hosts=str(known)).look() == []
    known.write_text(plain + f"@revoked * {server.host_keys['rsa']}\n")
    with pytest.raises(IdentityError):
        by(server, host_key=[], known_hosts=str(known)).look()
    known.write_text("example.com " + server.host_keys["rsa"] + "\n")
    with pytest.raises(ConfigError, match="knows no key of"):
        by(server, host_key=[], known_hosts=str(known))


def test_a_server_is_never_learnt() -> None:
    """Without a key known beforehand the declaration is refused."""
    with pytest.raises(ValueError, match="the server's key has to be known"):
        DropOptions.model_validate({"folders": ["/in"], "sftp": {"host": "h", "user": "u"}})


def test_a_key_that_is_not_let_in_is_told(server: Sshd, tmp_path: Path) -> None:
    """The error names the user and the key's fingerprint, never the key."""
    (tmp_path / "other").write_text(key_pair()[0])
    connection = server.connection({}, secrets={"private_key": f"file:{tmp_path / 'other'}"})
    with pytest.raises(AuthError, match=r"does not let .* in with the key SHA256:") as caught:
        opened(connection).look()
    assert "PRIVATE" not in caught.value.detail


def test_a_locked_key_needs_its_passphrase(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase is a secret of its own; without it the settings are wrong, and say so."""
    private, public = key_pair("ecdsa", "open sesame")
    (tmp_path / "locked").write_text(private)
    held = server.home / "authorized_keys"
    before = held.read_text()
    held.write_text(before + public + "\n")
    secrets = {"private_key": f"file:{tmp_path / 'locked'}"}
    with pytest.raises(ConfigError, match="name its passphrase"):
        opened(server.connection({}, secrets=secrets))
    monkeypatch.setenv("TEST_PASSPHRASE", "open sesame")
    assert opened(server.connection({}, secrets={**secrets, "passphrase": "env:TEST_PASSPHRASE"})).look() == []
    held.write_text(before)


def test_private_addresses_are_refused_unless_configured(server: Sshd) -> None:
    """The same judgement as for HTTP."""
    with pytest.raises(PermanentError, match="allow_private_addresses"):
        opened(server.connection({}, allow_private_addresses=False)).look()


def test_a_cut_in_the_middle_of_a_file_is_gone_on_with(server: Sshd, relay: Relay) -> None:
    """Two cuts cost two new sessions; the bytes are those of the file."""
    body = os.urandom(900_000)
    (server.drop / "a.bin").write_bytes(body)
    place = by(server, relay)
    [seen] = place.look()
    relay.cut_after, relay.cuts = 300_000, 2
    place.close()
    assert place.read(seen, 10**6) == body
    assert relay.connections == 4


def test_a_file_replaced_during_a_cut_is_left_for_the_next_look(server: Sshd, relay: Relay) -> None:
    """Half of the one and half of the other is never a file."""
    path = server.drop / "a.bin"
    path.write_bytes(b"1" * 900_000)
    place = by(server, relay)
    [seen] = place.look()
    path.write_bytes(b"2" * 900_000)
    os.utime(path, (1, 1))
    relay.cut_after, relay.cuts = 300_000, 1
    assert place.read(seen, 10**6) is None


def test_a_server_that_cuts_for_ever_is_an_outage(server: Sshd, relay: Relay) -> None:
    """After a few cuts the file is given up, and the next operation begins anew."""
    (server.drop / "a.bin").write_bytes(os.urandom(900_000))
    place = by(server, relay)
    [seen] = place.look()
    relay.cut_after, relay.cuts = 50_000, 100
    place.close()
    with pytest.raises(TransientError, match="broke"):
        place.read(seen, 10**6)
    relay.cuts = 0
    assert place.read(seen, 10**6) is not None


def test_a_dripped_answer_ends_by_the_deadline(server: Sshd, relay: Relay) -> None:
    """Every packet comes, each a little late: the whole operation has one deadline."""
    (server.drop / "a.bin").write_bytes(os.urandom(900_000))
    place = by(server, relay, deadline_seconds=1.5)
    [seen] = place.look()
    relay.drip_seconds = 0.05
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"longer than 1\.5 s"):
        place.read(seen, 10**6)
    assert time.monotonic() - began < 10


def test_a_server_that_drips_its_greeting_ends_by_the_deadline(server: Sshd, relay: Relay) -> None:
    """Also before we are let in."""
    relay.drip_seconds = 0.3
    began = time.monotonic()
    with pytest.raises(TransientError):
        by(server, relay, deadline_seconds=1.0).look()
    assert time.monotonic() - began < 10


def test_a_server_that_is_down_is_an_outage(tmp_path: Path) -> None:
    """Nobody listens; once somebody does, the same place works."""
    server = Sshd(tmp_path, port=free_port())
    place = opened(server.connection({}))
    with pytest.raises(TransientError, match="does not answer"):
        place.look()
    with server:
        assert place.look() == []
    with pytest.raises(TransientError):
        place.look()


def test_what_is_no_ssh_server_is_told(server: Sshd) -> None:
    """A web server behind the port, say."""
    import http.server
    import threading

    web = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        with pytest.raises(TransientError, match="does not answer as an SSH server"):
            by(server, port=web.server_port, connect_seconds=2).look()
    finally:
        web.shutdown()
        web.server_close()


@pytest.mark.parametrize("refused", ["rename", "mkdir"])
def test_a_missing_right_is_named(tmp_path: Path, refused: str) -> None:
    """A server that lets us read and not rename, or make folders, is told to its administrator; the file stays where it is."""
    with Sshd(tmp_path, sftp=f"-P {refused}") as server:
        (server.drop / "a.csv").write_text("1")
        place = opened(server.connection({}))
        [seen] = place.look()
        with pytest.raises(PermanentError, match="allow renaming files and making folders"):
            place.move(seen, "archive")
        assert (server.drop / "a.csv").exists()
        last = list(place.prove(("archive", "quarantine")))[-1]
        assert (last.ok, "ask for the right to rename" in last.words) == (False, True)
        place.close()
        assert [path.name for path in server.drop.iterdir() if path.name.startswith(".tidegate")] == []

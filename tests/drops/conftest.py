"""One OpenSSH server for the module's tests, with a folder emptied before each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drops.sshd import Sshd


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(Path(tmp_path_factory.mktemp("sshd")), kinds=("ed25519", "ecdsa", "rsa")) as server:
        yield server


@pytest.fixture
def server(running: Sshd) -> Sshd:
    shutil.rmtree(running.drop)
    running.drop.mkdir()
    return running

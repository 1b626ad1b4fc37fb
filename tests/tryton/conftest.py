"""One real Tryton per session, on a copy of the seeded database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import DEFAULT_VERSION, Servers
from tests.tryton.house import House, house
from tests.tryton.rpc import Rpc

pytest.register_assert_rewrite("tests.contracts.suite", "tests.contracts.suite_store", "tests.contracts.suite_wire")


@pytest.fixture(scope="session")
def tryton(postgres_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running server with a small company's books. Tests share it: each makes what it changes."""
    server_url, _ = postgres_servers.ready(DEFAULT_VERSION)
    with house(server_url, tmp_path_factory.mktemp("tryton")) as running:
        yield running


@pytest.fixture
def rpc(tryton: House) -> Iterator[Rpc]:
    """The hands of the world behind the adapter."""
    with tryton.rpc() as client:
        yield client

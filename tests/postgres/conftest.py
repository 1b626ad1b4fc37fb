"""What the webhook tests share: one running API for all tests of a module, and asserts of their suite rewritten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.postgres.suite_doors")

from db.engine import create  # noqa: E402  (after the rewriting is asked for)
from tests.conftest import DEFAULT_VERSION, Servers, cloned_database  # noqa: E402
from tests.postgres.door_cases import CASES  # noqa: E402
from tests.postgres.doors_house import ENVIRONMENT, Doors, opened  # noqa: E402


@pytest.fixture(scope="module")
def doors(postgres_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """One API for all tests of the module."""
    connections = {case.connection.name: case.connection for case in CASES}
    with pytest.MonkeyPatch.context() as environment, cloned_database(postgres_servers, DEFAULT_VERSION) as url:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        engine = create(url, application="tidegate-test")
        try:
            with opened(engine, tmp_path_factory.mktemp("doors"), list(connections.values())) as found:
                yield found
        finally:
            engine.dispose()

"""Every door there is under the one suite."""

from __future__ import annotations

from typing import Any

import pytest

from sync.connections import ConfigError, Connection
from sync.doors import SignedDoor
from sync.systems import registry
from tests.postgres.door_cases import CASES
from tests.postgres.suite_doors import DoorSuite


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of the suite for every sender that can put a door to it."""
    if "case" in metafunc.fixturenames:
        wanted = getattr(metafunc.function, "wanted", lambda _case: True)
        cases = [case for case in (kind() for kind in CASES) if wanted(case)]
        metafunc.parametrize("case", cases, ids=[type(case).__name__ for case in cases])


class TestEveryDoor(DoorSuite):
    """The suite, sender by sender."""


def test_every_system_has_its_door_under_the_suite() -> None:
    """A system with a door of its own is under the suite with it; every other has ours, which is there too."""
    under = {case.connection.system: type(registry.door(case.connection)) for case in CASES}
    doors = {name: type(registry.door(Connection(name="any", system=name, region="EMEA"))) for name in registry.SYSTEMS}
    own = {name for name, kind in doors.items() if kind is not SignedDoor}
    assert {name: doors[name] for name in own} == {name: under.get(name) for name in own}
    assert own == {name for name in doors if hasattr(registry.system(Connection(name="any", system=name, region="EMEA")), "make_door")}
    assert SignedDoor in under.values()


@pytest.mark.parametrize(
    "declared", [{"headers": "x"}, {"header": 5}, {"header": ""}, {"timestamped": "no"}, {"event_id_header": None}, "x", ["header"]]
)
def test_a_door_that_is_declared_wrongly_is_a_mistake_of_the_file(declared: Any) -> None:
    """Told in words, by name; nobody gets in by it."""
    with pytest.raises(ConfigError, match="any: webhook has header"):
        registry.door(Connection(name="any", system="rest", region="EMEA", options={"webhook": declared}))

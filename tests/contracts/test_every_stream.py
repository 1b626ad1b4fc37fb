"""No stream without the contract suite, and none over HTTP without the wire fault suite: every system of the registry, with all it offers."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sync.connections import Connection
from sync.systems import registry
from tests.contracts.kyriba_tenant import LANDSCAPE
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_documents import DocumentSuite
from tests.contracts.suite_drift import DriftSuite
from tests.contracts.suite_wire import WireSuite
from tests.contracts.test_flat_files import OPTIONS as FLAT_FILES
from tests.contracts.test_rest import Invoices as Rest
from tests.contracts.test_wire_faults import SECRETS

HERE = Path(__file__).parent
HOST = "https://host.example"
OFFERED: dict[str, dict[str, Any]] = {
    "salesforce": {"base_url": HOST, "login_url": HOST, "orders_as": "sales_order"},
    "sap_s4": {"base_url": HOST},
    "kyriba": {"base_url": f"{HOST}/gateway/api", "statement_templates": ["E_BK_CAMT"]},
    "bank_files": {"folder": "."},
    "tryton": {"base_url": HOST, "database": "books"},
    "flat_files": {**FLAT_FILES, "folders": ["."]},
    "modern_treasury": {},
    "ecb": {},
}
"""Options by which a system offers everything it has. `rest` has no streams of its own: it offers those that its case declares."""
FILES = ("bank_files", "flat_files")
"""Systems that speak no HTTP: their wire is a folder or SFTP, whose faults stand in their own tests."""
BY_CLIENT, BY_USER = ("client_id", "client_secret"), ("user", "password")
NEEDED = {
    "salesforce": BY_CLIENT, "kyriba": BY_CLIENT, "sap_s4": BY_USER, "tryton": BY_USER, "modern_treasury": ("organization_id", "api_key"),
}  # fmt: skip
"""Secrets without which a source can't be made."""


def _streams(name: str) -> list[str]:
    """What the system offers."""
    if name == "rest":
        with Rest("cursor", "oauth2") as case, closing(case.source()) as source:
            return [stream.name for stream in source.streams()]
    connection = Connection(
        name=name, system=name, region="EMEA", legal_entities=("DE01",), options=OFFERED[name],
        secrets=dict.fromkeys(NEEDED.get(name, ()), "env:EVERY_STREAM_SECRET"),
    )  # fmt: skip
    with closing(registry.system(connection).make_source(connection, LANDSCAPE)) as source:
        return [stream.name for stream in source.streams()]


def _covered(suite: type) -> set[tuple[str, str]]:
    """(system, stream) of every case that a class of the suite names, wherever in tests/ it stands."""
    found: set[tuple[str, str]] = set()
    for path in sorted([*HERE.glob("test_*.py"), *(HERE.parent / "tryton").glob("test_*.py")]):
        if path == Path(__file__) or suite.__name__ not in path.read_text():
            continue
        module = importlib.import_module(".".join(path.relative_to(HERE.parent.parent).with_suffix("").parts))
        for _, tests in inspect.getmembers(module, inspect.isclass):
            if issubclass(tests, suite) and tests is not suite and tests.__module__ == module.__name__:
                found |= {(case.system, case.stream) for case in _named(tests, module)}
    return found


def _named(tests: type, module: Any) -> Iterator[type[AdapterCase]]:
    """The cases that a class of tests names in its fixtures."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(tests)))):
        value = None
        if isinstance(node, ast.Name):
            value = getattr(module, node.id, None)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            value = getattr(getattr(module, node.value.id, None), node.attr, None)
        if isinstance(value, type) and issubclass(value, AdapterCase) and hasattr(value, "stream"):
            yield value


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SECRETS, "EVERY_STREAM_SECRET": "x"}.items():
        monkeypatch.setenv(name, value)


def test_every_system_is_asked_for_all_it_offers() -> None:
    """A new system has its line above."""
    assert {*OFFERED, "rest"} == set(registry.SYSTEMS)


@pytest.mark.parametrize("suite", [AdapterSuite, WireSuite])
def test_every_stream_is_under_the_suite(suite: type) -> None:
    """Whatever a system of the registry offers; the wire's faults only for those that speak HTTP."""
    systems = [name for name in registry.SYSTEMS if suite is AdapterSuite or name not in FILES]
    offered = {(name, stream) for name in systems for stream in _streams(name)}
    assert len(offered) > len(systems)
    assert offered - _covered(suite) == set()


def test_every_stream_is_tried_with_fields_that_are_not_what_they_were() -> None:
    """Whatever a system of the registry offers, as records of JSON or as documents."""
    offered = {(name, stream) for name in registry.SYSTEMS for stream in _streams(name)}
    assert offered - _covered(DriftSuite) - _covered(DocumentSuite) == set()

"""Test on Connections: a command that proves a connection, as the pages' role submits it and the worker carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import Scope, writing
from sync import handlers
from sync.commands import ProveConnection
from sync.connections import Connection, Landscape
from sync.permissions import Forbidden
from sync.submission import submit
from tests.postgres.process_world import NOW, World, ready

NAME = "bank-emea"


@pytest.fixture
def world(engine: sa.Engine) -> World:
    made = ready(engine)
    made.write(
        lambda conn: conn.execute(
            sa.text("insert into process.stream (connection, stream, region) values (:name, 'statements', 'EMEA')"), {"name": NAME}
        )
    )
    return made


def ask(world: World, *, role: str = "operator", scope: frozenset[str] | None = None) -> int:
    with writing(world.database.engine, Scope(scope, "olga")) as conn:
        return submit(
            conn,
            ProveConnection(connection=NAME),
            actor="olga",
            roles={role},
            scope_regions=scope,
            idempotency_key="k",
            reason=None,
            now=NOW,
        )


def prove(world: World, folder: Path) -> Any:
    """The command's row after the worker carried it out; the pages ask and see it as the person with one region does."""
    number = ask(world, scope=frozenset({"EMEA"}))
    connection = Connection(name=NAME, system="bank_files", region="EMEA", options={"folder": str(folder)})
    handlers.run_command(world.database, Landscape(connections=(connection,)), number, FixedClock(NOW))
    (row,) = world.rows("select state, done, outcome from process.command where id = :id", id=number)
    return row


def test_a_sound_connection_is_found_well(world: World, tmp_path: Path) -> None:
    """Every finding is kept with its words; nothing is pulled, and the audit says who asked."""
    row = prove(world, tmp_path)
    assert (row.state, row.done, row.outcome["ok"]) == ("done", 1, True)
    assert row.outcome["words"] == f"{NAME}: all {len(row.outcome['findings'])} well"
    assert row.outcome["findings"][0] == {"what": "configuration", "ok": True, "words": "bank_files in EMEA, secrets found"}
    assert world.rows("select count(*) as n from process.run")[0].n == 0
    (entry,) = world.rows("select actor, action from governance.audit where chain = 'EMEA'")
    assert (entry.actor, entry.action) == ("olga", "test_connection")


def test_what_is_wrong_is_said_and_the_command_is_over(world: World, tmp_path: Path) -> None:
    """A folder that is not there is a finding, not a command that failed."""
    row = prove(world, tmp_path / "nowhere")
    assert (row.state, row.outcome["ok"]) == ("done", False)
    assert "not well" in row.outcome["words"]
    (wrong,) = [each for each in row.outcome["findings"] if not each["ok"]]
    assert wrong["what"].endswith("nowhere")
    assert wrong["words"] == "is not there or can't be read"


@pytest.mark.parametrize(("role", "scope"), [("analyst", None), ("auditor", None), ("operator", frozenset({"NA"}))])
def test_only_those_who_may_command_it_may_ask(world: World, role: str, scope: frozenset[str] | None) -> None:
    """Neither another role nor a person of other regions proves a connection; nothing is filed."""
    with pytest.raises(Forbidden):
        ask(world, role=role, scope=scope)
    assert world.rows("select count(*) as n from process.command")[0].n == 0

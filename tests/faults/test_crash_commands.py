"""The worker is killed (-9) at each named step of a decision's and a command's way; afterwards each effect exists exactly once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import writing
from sync.commands import ResolveCase
from sync.submission import submit
from tests.faults.command_worker import work
from tests.postgres.process_world import ERP, NOW, TREASURY, World, ready

ROOT = Path(__file__).resolve().parents[2]
POINTS = ("decide", "intent", "before_send", "after_send", "before_receipt", "complete")
RULES_ONLY = ("decide", "intent")
"""Steps that are not on the way of an approval: nothing new is decided then."""


def killed_at(url: str, log: Path, point: str) -> int:
    """Runs the worker in a process of its own that dies at `point`; returns its exit code."""
    environment = {**os.environ, "TIDEGATE_CRASH_AT": point}
    command = [sys.executable, "-m", "tests.faults.command_worker", url, str(log)]
    return subprocess.run(command, cwd=ROOT, env=environment, timeout=120, check=False, capture_output=True).returncode


def executed(log: Path) -> Counter[str]:
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(json.loads(line)["key"] for line in lines)


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """Two orders within policy, and one beyond it whose case a person has approved."""
    found = ready(engine)
    found.customer("2000", "100")
    found.blocked("512", "1000", "40000")
    found.blocked("513", "1000", "20000")
    found.blocked("600", "2000", "5000")
    return found


EXPECTED = {
    f"release:{ERP}:512:1", f"release:{ERP}:513:1", f"release:{ERP}:600:1",
    f"forecast:{TREASURY}:order:{ERP}:512:1", f"forecast:{TREASURY}:order:{ERP}:513:1", f"forecast:{TREASURY}:order:{ERP}:600:1",
}  # fmt: skip


def approve(world: World) -> None:
    (case,) = world.rows('select id from process."case"')
    with writing(world.database.engine) as conn:
        submit(
            conn, ResolveCase(case_id=case.id, approve=True), actor="olga", roles={"operator"}, scope_regions=None,
            idempotency_key="approve-600", reason="paid in advance", now=NOW,
        )  # fmt: skip


@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_each_effect_happens_once(world: World, database: str, tmp_path: Path, point: str) -> None:
    """Killed at the step in the rules' work and again in the command's, every effect is executed exactly once by the targets' own log."""
    log = tmp_path / "executed.jsonl"
    assert killed_at(database, log, point) == -signal.SIGKILL
    work(database, log)
    approve(world)
    if point not in RULES_ONLY:
        assert killed_at(database, log, point) == -signal.SIGKILL
    work(database, log)
    assert executed(log) == Counter(EXPECTED)
    states = world.rows("select distinct state from process.effect")
    assert [row.state for row in states] == ["confirmed"]
    (case,) = world.rows('select state, closed_by from process."case"')
    assert (case.state, case.closed_by) == ("approved", "olga")
    (command,) = world.rows("select state from process.command")
    assert command.state == "done"

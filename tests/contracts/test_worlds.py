"""Random lives beside worlds that move: a few seeds here; WORLDS_SEEDS=0-300 asks for others, for as long as one cares to wait."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from sync.http_gate import _GATES
from sync.systems.salesforce import answers, bulk, client, login, refusals
from tests.contracts.world_modern_treasury import ModernTreasuryWorld
from tests.contracts.world_salesforce import SalesforceWorld
from tests.contracts.worlds import Life, Wrong, our_clock

ROUNDS = int(os.environ.get("WORLDS_ROUNDS", "40"))


def seeds(usual: Sequence[int]) -> Sequence[int]:
    """Those of this run."""
    first, dash, last = os.environ.get("WORLDS_SEEDS", "").partition("-")
    return usual if not first else range(int(first), int(last if dash else first) + 1)


def live(monkeypatch: pytest.MonkeyPatch, make: type[SalesforceWorld | ModernTreasuryWorld], seed: int, modules: Sequence[Any]) -> None:
    """A whole life. Where seeds were asked for, what is found is said with the least that it takes to find it again: so many rounds, without
    what does not matter.
    """

    def once(rounds: int, without: Collection[str]) -> None:
        world = make(seed, without)
        with monkeypatch.context() as patched:
            our_clock(patched, world.clock, modules)
            _GATES.clear()
            try:
                Life(world, seed, rounds).run()
            finally:
                world.server.close()

    def found(rounds: int, without: Collection[str]) -> Wrong | None:
        try:
            once(rounds, without)
        except Wrong as wrong:
            return wrong
        return None

    wrong = found(ROUNDS, ())
    if wrong is None:
        return
    if "WORLDS_SEEDS" not in os.environ:
        raise AssertionError(f"seed {seed}: {wrong}") from wrong
    rounds, least = ROUNDS, wrong
    without: tuple[str, ...] = ()
    for part in make.parts:
        if (again := found(rounds, (*without, part))) is not None:
            without, least = (*without, part), again
    while rounds > 4 and (again := found(rounds * 3 // 4, without)) is not None:
        rounds, least = rounds * 3 // 4, again
    needed = [part for part in make.parts if part not in without]
    raise AssertionError(f"seed {seed}: {wrong}\nThe least: {rounds} rounds, it takes {needed}: {least}") from least


@pytest.mark.parametrize("seed", seeds((9, 13)))
def test_salesforce(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An org that moves; see world_salesforce."""
    monkeypatch.setenv("SF_TEST_ID", "id")
    monkeypatch.setenv("SF_TEST_SECRET", "not told")
    monkeypatch.setattr(bulk, "POLLS_MAX", 12)
    live(monkeypatch, SalesforceWorld, seed, (answers, client, login, refusals))


@pytest.mark.parametrize("seed", seeds((5, 11)))
def test_modern_treasury(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organisation that moves; see world_modern_treasury."""
    monkeypatch.setenv("MT_TEST_ORG", "org")
    monkeypatch.setenv("MT_TEST_KEY", "not told")
    live(monkeypatch, ModernTreasuryWorld, seed, ())

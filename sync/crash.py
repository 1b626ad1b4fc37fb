"""Named points at which a test kills this process, to prove that nothing is lost or done twice. Inert otherwise."""

from __future__ import annotations

import os
import signal

VARIABLE = "TIDEGATE_CRASH_AT"
"""`name` or `name:n`: SIGKILL at the n-th passing (from 1) of that point."""

POINTS = (
    "after_fetch",
    "after_land",
    "after_promote",
    "before_commit",
    "after_commit",
    "before_settle",
    "after_settle",
    "before_finish",
    "after_finish",
    "decide",
    "intent",
    "before_send",
    "after_send",
    "before_receipt",
    "complete",
)
"""The steps of a fact's way (first nine) and of a command's way, in order."""

_passed: dict[str, int] = {}


def point(name: str) -> None:
    """Dies here, as by `kill -9`, when the environment asks for it; otherwise does nothing."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    target, _, nth = wanted.partition(":")
    if target != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)

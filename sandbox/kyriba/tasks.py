"""Process templates: a run makes a task that is worked off in its own time. Tasks live in memory: a restart forgets them."""

from __future__ import annotations

import io
import secrets
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.faults import Dial
from sandbox.kyriba.objects import SYSTEM
from sandbox.kyriba.statements import TEMPLATES, export
from sandbox.world.engine import World

SECONDS = 1.0
"""How long a task takes."""
KEPT = 100
_ENDS = ("Complete", "Warning", "Error", "Cancelled")
_MESSAGES = {
    "Complete": "The task is complete", "Warning": "1 account has no statement for the period",
    "Error": "Statement export: the output format is not defined", "Cancelled": "The task was cancelled by ADMIN",
}  # fmt: skip


@dataclass
class _Task:
    template: str
    began: float
    seconds: float
    ends: str
    files: list[tuple[str, bytes]]


@dataclass
class Tasks:
    """The tenant's tasks."""

    dial: Dial
    steady: Callable[[], float] = time.monotonic
    _tasks: dict[str, _Task] = field(default_factory=dict)

    def run(self, world: World, template: str) -> str | None:
        """Starts a template; the task's id, or None when there is no such template."""
        if template not in TEMPLATES:
            return None
        slow = self.dial.take(SYSTEM, "slow_task")
        bad = self.dial.take(SYSTEM, "task_ends")
        ends = str(bad.options.get("how", "Error")) if bad else "Complete"
        files = export(world, template) if ends in ("Complete", "Warning") else []
        seconds = float(slow.options.get("takes", 60)) if slow else SECONDS
        key = str(uuid.UUID(bytes=secrets.token_bytes(16)))
        self._tasks[key] = _Task(template, self.steady(), seconds, ends if ends in _ENDS else "Error", files)
        for old in list(self._tasks)[:-KEPT]:
            del self._tasks[old]
        return key

    def status(self, key: str) -> dict[str, Any] | None:
        """Where a task stands."""
        task = self._tasks.get(key)
        return None if task is None else {"status": self._stands(task), "subTasks": []}

    def details(self, key: str) -> dict[str, Any] | None:
        """A task's log."""
        task = self._tasks.get(key)
        if task is None:
            return None
        stands = self._stands(task)
        words = [{"severity": "INFO", "message": f"{task.template} was started"}]
        if stands in _MESSAGES:
            words.append({"severity": "ERROR" if stands in ("Error", "Cancelled") else "INFO", "message": _MESSAGES[stands]})
        return {"taskId": key, "processTemplate": task.template, "status": stands, "logs": words}

    def made(self, template: str, key: str) -> tuple[str, str, bytes] | None:
        """Name, kind and content of what an ended task has made: a file, an archive of several, or nothing (empty); None: not there."""
        task = self._tasks.get(key)
        if task is None or task.template != template or self._stands(task) not in ("Complete", "Warning"):
            return None
        if len(task.files) == 1:
            name, content = task.files[0]
            return name, "application/xml" if name.endswith(".xml") else "text/plain", content
        return (f"{template}.zip", "application/zip", _archive(task.files)) if task.files else ("", "text/plain", b"")

    def _stands(self, task: _Task) -> str:
        age = self.steady() - task.began
        if age >= task.seconds:
            return task.ends
        return "Pending" if age < task.seconds / 4 else "In progress"


def _archive(files: list[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()

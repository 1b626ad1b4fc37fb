"""A server of the benches in a process of its own, so that its work is not measured with ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def served(module: str, argument: int) -> Iterator[str]:
    """The address of the server that `module` runs: it prints it, serves until its input ends, and is stopped at the end."""
    command = [sys.executable, "-m", module, str(argument)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=10)

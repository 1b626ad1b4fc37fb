"""Serves the dashboard over its fake desk, or the page of constants, in the same kind of process.

python -m tests.bench.page_server dashboard|constant PORT
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


@contextmanager
def serving(which: str, home: Path, *, desk: str = "full:leader") -> Iterator[str]:
    """The address of `which`, in its own process, stopped at the end; `desk` is the mood and persona of the fake desk."""
    port = free_port()
    environment = {**os.environ, "TIDEGATE_FAKE_DESK": desk, "TIDEGATE_HOME": str(home)}
    with (home / f"{which}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "tests.bench.page_server", which, str(port)], cwd=ROOT, env=environment,
                                   stdout=log, stderr=log)  # fmt: skip
    address = f"http://localhost:{port}"
    try:
        _await(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {address}")


def main() -> None:
    """Serves until it is told to stop."""
    which, port = sys.argv[1], int(sys.argv[2])
    if which == "dashboard":
        from app.dashboard import serve
        from db.settings import Settings

        serve(Settings.from_environment(), host="127.0.0.1", port=port)
        return
    import uvicorn
    from streamlit import config
    from streamlit.starlette import App

    config.set_option("server.port", port)
    config.set_option("server.address", "127.0.0.1")
    uvicorn.run(App(ROOT / "tests" / "bench" / "constant_page.py"), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()

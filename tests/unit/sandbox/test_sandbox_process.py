"""The sandbox as a program: it survives being killed, and ends when asked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ORDER = "/API_SALES_ORDER_SRV/A_SalesOrder('{}')"


@contextmanager
def program(state: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A small sandbox of its own process, ready; killed afterwards if it still runs."""
    command = [sys.executable, "-m", "sandbox", "--state", str(state), "--customers", "10", "--history-days", "30", "--day-seconds", "60"]
    one = subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL)
    try:
        manifest, until = state / "manifest.json", time.monotonic() + 30
        while not manifest.exists() or json.loads(manifest.read_text())["pid"] != one.pid:  # the last run leaves its own behind
            assert one.poll() is None, "the sandbox ended by itself"
            assert time.monotonic() < until, "the sandbox did not get ready"
            time.sleep(0.05)
        yield one, json.loads(manifest.read_text())
    finally:
        one.kill()
        one.wait()


def test_a_killed_sandbox_comes_back_with_every_write(tmp_path: Path) -> None:
    """After kill -9: the same ports, the released order, one write in the log, world time not before; then a clean end."""
    with program(tmp_path) as (one, told), httpx.Client(headers={"Accept": "application/json"}) as http:
        known = told["systems"]["sap-emea"]
        auth = (known["user"], known["password"])
        made = http.post(told["control"] + "/control/act", json={"do": "activate_contract", "customer": "10100001", "value": "500"}).json()
        url = known["base_url"] + ORDER.format(made["order"])
        read = http.get(url, auth=auth, headers={"X-CSRF-Token": "Fetch"})
        headers = {"X-CSRF-Token": read.headers["x-csrf-token"], "If-Match": read.headers["etag"]}
        assert http.patch(url, auth=auth, json={"DeliveryBlockReason": ""}, headers=headers).status_code == 204
        before = http.get(told["control"] + "/control/log").json()
        one.kill()
    with program(tmp_path) as (one, again), httpx.Client() as http:
        assert again["control"] == told["control"]
        assert again["systems"] == told["systems"]
        log = http.get(again["control"] + "/control/log").json()
        assert [w for w in log["writes"] if w["key"] == made["order"]] == before["writes"]
        one.terminate()
        assert one.wait(timeout=10) == 0

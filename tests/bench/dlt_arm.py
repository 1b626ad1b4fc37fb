"""dlt as the opponent: one merge by primary key into a schema of its own, over the same server and socket as ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.bench.ratios import seconds


class Dlt:
    """Merges by primary key with dlt's upsert strategy. `fresh` runs into a schema of its own, `again` into the last one."""

    def __init__(self, url: str, folder: Path) -> None:
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
        self._credentials = _credentials(url)
        self._folder = folder
        self._runs = 0
        self._last: Any = None

    def fresh(self, data: Callable[[], Any], keys: list[str]) -> float:
        """Seconds for everything that `data` makes (a generator, Arrow, a dlt resource), all of it new."""
        import dlt

        self._runs += 1
        name = f"dlt{self._runs}"
        self._last = dlt.pipeline(
            pipeline_name=f"tidegate_{name}",
            pipelines_dir=str(self._folder / "dlt"),
            destination=dlt.destinations.postgres(credentials=self._credentials),
            dataset_name=name,
        )
        return self.again(data, keys)

    def again(self, data: Callable[[], Any], keys: list[str]) -> float:
        """As `fresh`, through the pipeline of the last run: its tables and its state are there already."""
        import dlt

        def work() -> None:
            strategy: Any = {"disposition": "merge", "strategy": "upsert"}
            self._last.run(dlt.resource(data(), name="invoice", primary_key=keys, write_disposition=strategy))

        return seconds(work)


def _credentials(url: str) -> str:
    """The address as dlt wants it: it insists on a host and a port, and hands on the query, whose socket folder wins in libpq."""
    given = sa.make_url(url)
    parts = given.set(drivername="postgresql", host=given.host or "localhost", port=given.port or 5432)
    return parts.render_as_string(hide_password=False)

"""What is put into the queue (procrastinate, on the same Postgres), in the transaction of whoever asks. What runs is in `sync.tasks`."""

from __future__ import annotations

from db.engine import Writing
from sync import deferral
from sync.connections import Connection, Landscape

MEASURES = "measures"
COMMANDS = "commands"
HOUSE = "house"


def region_queue(region: str) -> str:
    """The queue of one region's work."""
    return f"region:{region}"


def queues(landscape: Landscape) -> list[str]:
    """Every queue there is."""
    regions = {each.region for each in landscape.connections} | {each.region for each in landscape.legal_entities}
    return [*(region_queue(region) for region in sorted(regions)), MEASURES, COMMANDS, HOUSE]


def defer_pull(conn: Writing, connection: Connection, stream: str, *, trigger: str = "clock") -> None:
    """Pull the stream soon. A pull by the clock that waits already is enough; a person's or a webhook's is added once beside it."""
    lock = f"pull:{connection.name}:{stream}"
    waiting = lock if trigger == "clock" else f"{lock}:{trigger}"
    deferral.put(
        conn,
        "pull_stream",
        region_queue(connection.region),
        lock,
        waiting=waiting,
        connection=connection.name,
        stream=stream,
        trigger=trigger,
    )


def defer_refresh(conn: Writing) -> None:
    """Refresh the measures soon."""
    deferral.put(conn, "refresh_measures", MEASURES, "refresh_measures")


def defer_house(conn: Writing, task: str) -> None:
    """One of the jobs that keep house: sweep, verify, tidy."""
    deferral.put(conn, task, HOUSE, task)

"""What the process layer asks of the queue, in the transaction of whoever asks: deliver, decide, run a command."""

from __future__ import annotations

import json

import sqlalchemy as sa

from db.engine import Writing


def deliver(conn: Writing, connection: str, *, region: str) -> None:
    """Deliver the effects of `connection` soon; a delivery that waits already is enough."""
    put(conn, "deliver_effects", f"region:{region}", f"deliver:{connection}", connection=connection)


def rules(conn: Writing, region: str) -> None:
    """Decide the region's events soon."""
    put(conn, "run_rules", f"region:{region}", f"rules:{region}", region=region)


def command(conn: Writing, command_id: int) -> None:
    """Carry out a command that was just submitted."""
    put(conn, "run_command", "commands", f"command:{command_id}", command_id=command_id)


def pull(conn: Writing, connection: str, stream: str, *, region: str, trigger: str) -> None:
    """Pull the stream soon, beside a pull by the clock that may wait already."""
    lock = f"pull:{connection}:{stream}"
    put(
        conn, "pull_stream", f"region:{region}", lock, waiting=f"{lock}:{trigger}", connection=connection, stream=stream, trigger=trigger
    )  # fmt: skip


def refresh(conn: Writing) -> None:
    """Bring the measures up to the facts soon; what they say is decided on right after."""
    put(conn, "refresh_measures", "measures", "refresh_measures")


def put(conn: Writing, task: str, queue: str, lock: str, *, waiting: str | None = None, **args: object) -> None:
    """A job of `task` in the caller's transaction. Jobs of one `lock` run one after another; while one with the same `waiting`
    (default: the lock) has not begun, another is not added.
    """
    conn.execute(
        sa.text(
            "insert into procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)"
            " values (:queue, :task, 0, :lock, :waiting, cast(:args as jsonb)) on conflict do nothing"
        ),
        {"queue": queue, "task": task, "lock": lock, "waiting": waiting or lock, "args": json.dumps(args)},
    )

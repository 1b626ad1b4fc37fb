"""Command -> effect. Ends in one table, readable as a contents page.

A handler does its work in transactions of its own and can be run again after a crash at any point: what is done stays done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from db.clock import Clock
from db.engine import Database, Writing, writing
from sync import audit, cases, crash, deferral, order_changes, process_region, replay, streams
from sync.commands import (
    AcknowledgeExceptions,
    AnyCommand,
    AssignExceptions,
    BackfillConnection,
    DismissExceptions,
    EditAndReplay,
    LinkCustomer,
    PauseConnection,
    ProveConnection,
    RefreshNow,
    ReplayExceptions,
    RequestOrderChange,
    ResolveCase,
    ResumeConnection,
    RunConnectionNow,
    from_payload,
)
from sync.connections import ConfigError, Landscape
from sync.permissions import Forbidden
from sync.probe import probe

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One command being carried out, and what its handler works with."""

    database: Database
    landscape: Landscape
    clock: Clock
    tools: replay.Tools
    id: int
    actor: str
    reason: str
    regions: str
    kept: Mapping[str, Any]
    """What an earlier run of the same command left in its outcome."""

    def keep(self, conn: Writing, outcome: Mapping[str, Any]) -> None:
        """Leaves `outcome` for a later run, in the caller's transaction."""
        conn.execute(
            sa.text("update process.command set outcome = outcome || cast(:outcome as jsonb) where id = :id"),
            {"id": self.id, "outcome": json.dumps(dict(outcome), default=str)},
        )


def run_command(database: Database, landscape: Landscape, command_id: int, clock: Clock, *, tools: replay.Tools | None = None) -> None:
    """Carries the command out and writes down what became of it. A finished one is left alone; an unfinished one goes on.

    A refusal (ConfigError, Forbidden, LookupError, ValueError) ends the command as failed, in words; anything else is raised for the
    queue to try again.
    """
    started = _start(database, command_id, clock)
    if started is None:
        return
    row, reach = started, tools or replay.Tools(landscape)
    job = Job(database, landscape, clock, reach, command_id, row.actor, row.reason or "", row.regions, dict(row.outcome or {}))
    try:
        command = from_payload(row.payload)
        outcome = HANDLERS[type(command)](job, command)
    except (ConfigError, Forbidden, LookupError, ValueError, msgspec.ValidationError) as error:
        log.warning("command.failed", command_id=command_id, kind=row.kind, error=f"{type(error).__name__}: {error}"[:300])
        _finish(database, command_id, "failed", {"words": str(error)}, clock)
        return
    finally:
        reach.close()
    crash.point("complete")
    _finish(database, command_id, "done", outcome, clock)


def _start(database: Database, command_id: int, clock: Clock) -> Any:
    with writing(database.engine) as conn:
        return conn.execute(
            sa.text(
                "update process.command set state = 'running', started_at = coalesce(started_at, :now)"
                " where id = :id and state in ('queued', 'running') returning *"
            ),
            {"id": command_id, "now": clock.now()},
        ).one_or_none()


def _finish(database: Database, command_id: int, state: str, outcome: Mapping[str, Any], clock: Clock) -> None:
    with writing(database.engine) as conn:
        conn.execute(
            sa.text(
                "update process.command set state = :state, finished_at = :now, outcome = outcome || cast(:outcome as jsonb),"
                " done = case when :state = 'done' then total else done end where id = :id"
            ),
            {"id": command_id, "state": state, "now": clock.now(), "outcome": json.dumps(dict(outcome), default=str)},
        )


def _replay(job: Job, command: ReplayExceptions) -> Mapping[str, Any]:
    counts = replay.Replay(job.database, job.landscape, job.clock, job.id, job.actor, job.tools, canary=command.canary).run()
    _follow(job)
    return {**counts, "words": _words(counts)}


def _edit_and_replay(job: Job, command: EditAndReplay) -> Mapping[str, Any]:
    if "copy" not in job.kept:
        with writing(job.database.engine) as conn:
            copy = replay.correct(conn, command.id, command.changes, now=job.clock.now())
            job.keep(conn, {"copy": copy})
    counts = replay.Replay(job.database, job.landscape, job.clock, job.id, job.actor, job.tools, how="landed with an edit").run_as_stored()
    _follow(job)
    return {**counts, "words": _words(counts)}


def _follow(job: Job) -> None:
    """What landed is shown and decided soon."""
    with writing(job.database.engine) as conn:
        deferral.refresh(conn)
        for region in process_region.regions_due(conn):
            deferral.rules(conn, region)


def _words(counts: Mapping[str, int]) -> str:
    parts = [
        f"{counts[state]:,} {word}" for state, word in (("resolved", "resolved"), ("failed", "failed again"), ("skipped", "not tried"))
    ]
    return ", ".join(parts)


# Set-based, whatever the size of the set; the item keeps what became of it.
_ACT = """
with changed as (
  update process.exception e set {change} from process.command_item i
  where i.command_id = :command and i.exception_id = e.id and i.state = 'waiting' and {only} returning e.id)
update process.command_item i set state = case when c.id is null then 'skipped' else 'resolved' end,
  outcome = case when c.id is null then 'nothing to do' else :done end, finished_at = :now
from process.command_item w left join changed c on c.id = w.exception_id
where w.command_id = :command and w.state = 'waiting' and i.command_id = w.command_id and i.exception_id = w.exception_id
"""


def _act(job: Job, change: str, only: str, done: str, **bound: Any) -> Mapping[str, Any]:
    with writing(job.database.engine) as conn:
        conn.execute(sa.text(_ACT.format(change=change, only=only)), {"command": job.id, "now": job.clock.now(), "done": done, **bound})
        changed = conn.execute(
            sa.text("select count(*) from process.command_item where command_id = :command and state = 'resolved'"), {"command": job.id}
        ).scalar_one()
    return {"changed": changed, "words": f"{changed:,} {done}"}


def _acknowledge(job: Job, _command: AcknowledgeExceptions) -> Mapping[str, Any]:
    return _act(job, "state = 'acknowledged'", "e.state in ('new', 'regressed', 'waiting')", "acknowledged")


def _assign(job: Job, command: AssignExceptions) -> Mapping[str, Any]:
    change = "owner = :owner, state = case when e.state = 'new' then 'acknowledged' else e.state end"
    return _act(job, change, "e.state <> 'resolved'", f"assigned to {command.owner}", owner=command.owner)


def _dismiss(job: Job, command: DismissExceptions) -> Mapping[str, Any]:
    only = "e.state not in ('resolved', 'replaying')"
    words = f"dismissed until {command.until:%Y-%m-%d %H:%M} UTC"
    return _act(job, "state = 'dismissed', dismissed_until = :until", only, words, until=command.until)


def _resolve_case(job: Job, command: ResolveCase) -> Mapping[str, Any]:
    with writing(job.database.engine) as conn:
        return cases.resolve(
            conn, job.landscape, command.case_id, approve=command.approve, actor=job.actor, reason=job.reason, now=job.clock.now()
        )


def _request_order_change(job: Job, command: RequestOrderChange) -> Mapping[str, Any]:
    with writing(job.database.engine) as conn:
        return order_changes.request(
            conn, job.landscape, command.source, command.order, command.change, actor=job.actor, reason=job.reason, now=job.clock.now()
        )


def _link_customer(job: Job, command: LinkCustomer) -> Mapping[str, Any]:
    with writing(job.database.engine) as conn:
        region = cases.confirm_identity(
            conn, command.source, command.source_key, command.party_id, actor=job.actor, reason=job.reason, now=job.clock.now()
        )
        _audit(conn, job, region, "identity_confirmed", f"{command.source}/{command.source_key}")
    _follow(job)
    return {"words": f"{command.source_key} of {command.source} is party {command.party_id}"}


def _run_now(job: Job, command: RunConnectionNow) -> Mapping[str, Any]:
    return _pull(job, command.connection, command.stream, "person", full=False)


def _backfill(job: Job, command: BackfillConnection) -> Mapping[str, Any]:
    return _pull(job, command.connection, command.stream, "backfill", full=True)


def _prove(job: Job, command: ProveConnection) -> Mapping[str, Any]:
    """The one command that waits for another company's system, for as long as its calls may take: that is what it asks. The worker has
    slots to spare, and the pages only look at the receipt, which has each finding as soon as it is made.
    """
    configured = job.landscape.connection(command.connection)
    findings: list[dict[str, Any]] = []
    for finding in probe(job.landscape, configured, now=job.clock.now()):
        findings.append(msgspec.to_builtins(finding))
        with writing(job.database.engine) as conn:
            job.keep(conn, {"findings": findings})
    wrong = sum(1 for finding in findings if not finding["ok"])
    told = f"{wrong} of {len(findings)} not well" if wrong else f"all {len(findings)} well"
    return {"findings": findings, "ok": not wrong, "words": f"{command.connection}: {told}"}


def _pull(job: Job, connection: str, stream: str | None, trigger: str, *, full: bool) -> Mapping[str, Any]:
    """Asks for the pulls, in the queue of the connection's region: a command never waits for another company's system."""
    configured = job.landscape.connection(connection)
    with closing(job.tools.open_source(configured, job.landscape)) as source:
        names = [entry.name for entry in source.streams() if stream in (None, entry.name)]
    if not names:
        raise LookupError(f"{connection} has no stream called {stream}")
    with writing(job.database.engine) as conn:
        streams.register(conn, configured, [entry for entry in source.streams() if entry.name in names])
        if full:
            conn.execute(
                sa.text("update process.stream set cursor = null where connection = :connection and stream = any(:names)"),
                {"connection": connection, "names": names},
            )
        for name in names:
            deferral.pull(conn, connection, name, region=configured.region, trigger=trigger)
    return {"streams": names, "words": f"{_counted(len(names), 'pull')} of {connection} asked for"}


def _pause(job: Job, command: PauseConnection) -> Mapping[str, Any]:
    return _switch(job, command.connection, command.stream, paused=True)


def _resume(job: Job, command: ResumeConnection) -> Mapping[str, Any]:
    return _switch(job, command.connection, command.stream, paused=False)


def _switch(job: Job, connection: str, stream: str | None, *, paused: bool) -> Mapping[str, Any]:
    configured = job.landscape.connection(connection)
    with writing(job.database.engine) as conn:
        count = streams.set_paused(conn, configured, stream, paused=paused, reason=job.reason)
    return {"streams": count, "words": f"{_counted(count, 'stream')} of {connection} {'paused' if paused else 'resumed'}"}


def _counted(count: int, one: str) -> str:
    return f"{count} {one if count == 1 else one + 's'}"


def _refresh_now(job: Job, _command: RefreshNow) -> Mapping[str, Any]:
    _follow(job)
    return {"words": "the figures are being brought up to date"}


def _audit(conn: Writing, job: Job, chain: str, action: str, subject: str) -> None:
    audit.write(
        conn, chain=chain, at=job.clock.now(), actor=job.actor, action=action, subject_kind="customer", subject_key=subject,
        reason=job.reason, detail={"command": job.id},
    )  # fmt: skip


HANDLERS: dict[type[AnyCommand], Callable[[Job, Any], Mapping[str, Any]]] = {
    ReplayExceptions: _replay,
    EditAndReplay: _edit_and_replay,
    AcknowledgeExceptions: _acknowledge,
    AssignExceptions: _assign,
    DismissExceptions: _dismiss,
    ResolveCase: _resolve_case,
    RequestOrderChange: _request_order_change,
    LinkCustomer: _link_customer,
    RunConnectionNow: _run_now,
    ProveConnection: _prove,
    BackfillConnection: _backfill,
    PauseConnection: _pause,
    ResumeConnection: _resume,
    RefreshNow: _refresh_now,
}

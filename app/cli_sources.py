"""`tidegate connections ...`: list, test, pull, pause and resume the sources."""

from __future__ import annotations

from typing import Annotated

import typer

from app.office import Office, opened
from app.terminal import Json, fail, progress, say, show
from sync.connections import ConfigError, Connection

group = typer.Typer(no_args_is_help=True, help="The systems Tidegate reads and writes.")
Name = Annotated[str, typer.Argument(help="A connection of the connections file.")]
StreamName = Annotated[str | None, typer.Option("--stream", help="One stream only.")]


@group.command("list")
def list_connections(json: Json = False) -> None:
    """Every connection with its streams, their freshness and their last word."""
    from sync.streams import overview

    with opened() as office:
        lines = overview(office.database.engine, office.landscape, now=office.clock.now())
        show({"total": len(lines), "connections": lines}, as_json=json)


@group.command("test")
def prove(name: Name, json: Json = False) -> None:
    """Proves address, credentials, permissions and fields of a connection, before it is used."""
    from sync.probe import probe

    with opened() as office:
        findings = list(probe(office.landscape, _configured(office, name), now=office.clock.now()))
        well = all(finding.ok for finding in findings)
        show({"connection": name, "ok": well, "findings": findings}, as_json=json)
    raise typer.Exit(0 if well else 1)


@group.command()
def pull(
    name: Name,
    stream: StreamName = None,
    full: Annotated[bool, typer.Option("--full", help="From the beginning, not from the cursor.")] = False,
    json: Json = False,
) -> None:
    """Pulls a connection now and stays until all of it is in and the measures are refreshed."""
    from sync.ingest import pull_now

    with opened() as office, progress(f"pulling {name}"):
        results = pull_now(office.database, office.landscape, _configured(office, name), stream=stream, full=full, clock=office.clock)
        show({"connection": name, "pulls": results}, as_json=json)
    failed = [result for result in results if result.error]
    for result in failed:
        say(f"{name}/{result.stream}: {result.error}")
    raise typer.Exit(1 if failed or any(result.quarantined for result in results) else 0)


@group.command()
def pause(name: Name, stream: StreamName = None, reason: Annotated[str, typer.Option("--reason")] = "paused at the command line") -> None:
    """Stops pulling a connection (or one stream of it) until it is resumed."""
    _switch(name, stream, paused=True, reason=reason)


@group.command()
def resume(name: Name, stream: StreamName = None) -> None:
    """Goes on pulling where the cursor stands."""
    _switch(name, stream, paused=False, reason="resumed at the command line")


def _switch(name: str, stream: str | None, *, paused: bool, reason: str) -> None:
    from app.office import operating_person
    from db.engine import writing
    from sync import audit
    from sync.streams import set_paused

    with opened() as office:
        connection = _configured(office, name, reachable=False)
        with writing(office.database.engine) as conn:
            changed = set_paused(conn, connection, stream, paused=paused, reason=reason)
            audit.write(
                conn,
                chain=connection.region,
                at=office.clock.now(),
                actor=operating_person(),
                action="pause_connection" if paused else "resume_connection",
                subject_kind="connection",
                subject_key=name if stream is None else f"{name}/{stream}",
                reason=reason,
                detail={},
            )
    say(f"{name}: {changed} stream(s) {'paused' if paused else 'resumed'}")


def _configured(office: Office, name: str, *, reachable: bool = True) -> Connection:
    try:
        connection = office.landscape.connection(name)
    except ConfigError as error:
        fail(str(error))
    if reachable and connection.missing():
        fail(f"connection {name} waits for {', '.join(connection.missing())} in the environment; set it, then try again")
    return connection


def register(root: typer.Typer) -> None:
    """Adds these commands to the root."""
    root.add_typer(group, name="connections")

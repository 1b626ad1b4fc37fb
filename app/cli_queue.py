"""`tidegate exceptions ...` and `tidegate token ...`: the queue at the command line, through the same desk as the pages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any

import typer

from app.desk import DeskError, ExceptionFilter, ExceptionRow, Intent, Person
from app.office import Office, opened, operating_person
from app.terminal import Json, fail, progress, say, show

group = typer.Typer(no_args_is_help=True, help="The exception queue.")
tokens = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP API.")
Filters = Annotated[
    list[str] | None, typer.Option("--filter", help="FIELD=VALUE; again for more: state, cause, connection, region, entity ...")
]
Ids = Annotated[list[int] | None, typer.Option("--id", help="An exception's number; again for more.")]
_OUTCOMES = ("resolved", "failed", "skipped")


@group.command("list")
def list_exceptions(
    filters: Filters = None,
    page: Annotated[int, typer.Option(min=0)] = 0,
    page_size: Annotated[int, typer.Option(min=1, max=10_000)] = 200,
    json: Json = False,
) -> None:
    """What needs somebody, ranked by money and the time left."""
    with opened() as office:
        found = _desk(office).exceptions(_filter(filters), page, page_size)
    show({"total": found.total, "exceptions": [_line(row) for row in found.rows]}, as_json=json)


@group.command("show")
def show_exception(exception_id: Annotated[int, typer.Argument()], json: Json = False) -> None:
    """One exception with its evidence, its bytes and its history."""
    with opened() as office:
        try:
            found = _desk(office).exception(exception_id)
        except DeskError as error:
            fail(str(error))
    document = {**_line(found.row), "hint": found.hint, "evidence": found.evidence, "record": found.record, "history": list(found.history)}
    show(document, as_json=json)


@group.command()
def preview(ids: Ids = None, filters: Filters = None, json: Json = False) -> None:
    """What a replay would do: what would land, what was applied already, what has moved on."""
    with opened() as office:
        found = _desk(office).preview(ids or [], None if ids else _filter(filters))
    show(asdict(found), as_json=json)


@group.command()
def replay(
    ids: Ids = None,
    filters: Filters = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is open.")] = False,
    canary: Annotated[bool, typer.Option("--canary", help="1, 5, 25, then the rest; stops when the same cause comes back.")] = False,
    reason: Annotated[str, typer.Option("--reason")] = "replayed at the command line",
    json: Json = False,
) -> None:
    """Replays one, many, or everything a filter selects, and stays until it is done; exit 1 if any did not pass."""
    if not (ids or filters or everything):
        fail("say which: --id, --filter or --all", code=2)
    payload: dict[str, Any] = {"canary": canary}
    payload |= {"ids": ids} if ids else {"filter": asdict(_filter(filters))}
    with opened() as office, progress("replaying"):
        if not ids and not _desk(office).exceptions(_filter(filters), 0, 1).total:
            show({"command_id": None, "state": "done", "total": 0, "done": 0, **dict.fromkeys(_OUTCOMES, 0)}, as_json=json)
            raise typer.Exit(0)
        outcome = _submit_and_run(office, Intent("replay_exceptions", f"cli:{uuid.uuid4()}", payload, reason))
    show(outcome, as_json=json)
    raise typer.Exit(0 if outcome["state"] == "done" and not outcome["failed"] else 1)


def _submit_and_run(office: Office, intent: Intent) -> dict[str, Any]:
    """Carries a command out here and now, whether or not a worker runs; both may, for a command runs once."""
    from app.live.carry_out import carry_out

    desk = _desk(office)
    try:
        receipt = desk.submit(intent)
    except DeskError as error:
        fail(str(error))
    carry_out(office, receipt.command_id)
    receipt = desk.receipt(receipt.command_id)
    counts = {state: int(receipt.outcome.get(state, 0)) for state in _OUTCOMES}
    return {"command_id": receipt.command_id, "state": receipt.state, "total": receipt.total, "done": receipt.done, **counts}


def _desk(office: Office) -> Any:
    from app.live import LiveDesk

    return LiveDesk(office, Person(operating_person(), "command line", None, frozenset({"admin"}), None))


def _filter(given: list[str] | None) -> ExceptionFilter:
    known = {field.name for field in fields(ExceptionFilter)}
    values: dict[str, str] = {}
    for part in given or []:
        for pair in part.split(","):
            name, sign, value = pair.partition("=")
            if not sign or name not in known:
                fail(f"{pair!r} is not FIELD=VALUE with a field of: {', '.join(sorted(known))}", code=2)
            values[name] = value
    return ExceptionFilter(**values)


def _line(row: ExceptionRow) -> Mapping[str, Any]:
    plain = asdict(row)
    money = plain.pop("money")
    return {**plain, "money_at_risk": money["value"] if money else None, "currency": money["currency"] if money else None}


@tokens.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scope: Annotated[list[str], typer.Option("--scope", help="invoices:read, receivables:read, exposure:read or journeys:read.")],
    region: Annotated[list[str] | None, typer.Option("--region", help="Only rows of this region; again for more.")] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="How long it lives.")] = None,
) -> None:
    """Makes an API token and prints it, the only time it can be seen."""
    from datetime import UTC, datetime, timedelta

    from app.api import tokens as api_tokens
    from db.engine import writing

    wall = datetime.now(UTC)
    with opened() as office, writing(office.database.engine) as conn:
        try:
            token = api_tokens.create(
                conn,
                name=name,
                scopes=scope,
                regions=region or ["*"],
                created_by=operating_person(),
                now=wall,
                expires_at=wall + timedelta(days=days) if days else None,
            )
        except ValueError as error:
            fail(str(error), code=2)
    print(token)


@tokens.command("revoke")
def revoke_token(name: Annotated[str, typer.Argument()]) -> None:
    """Ends every living token of that name."""
    from datetime import UTC, datetime

    from app.api import tokens as api_tokens
    from db.engine import writing

    with opened() as office, writing(office.database.engine) as conn:
        ended = api_tokens.revoke(conn, name, now=datetime.now(UTC))
    say(f"{ended} token(s) of {name} ended")


def register(root: typer.Typer) -> None:
    """Adds these commands to the root."""
    root.add_typer(group, name="exceptions")
    root.add_typer(tokens, name="token")

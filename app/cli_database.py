"""`tidegate verify`, `audit`, `db` and `doctor`: is what is stored right, and is this installation well?"""

from __future__ import annotations

import os
import shutil
from typing import Annotated

import typer

from app.office import opened
from app.terminal import Json, fail, progress, say, show

audit_group = typer.Typer(no_args_is_help=True, help="The audit log.")
database_group = typer.Typer(no_args_is_help=True, help="The database.")


def verify(json: Json = False) -> None:
    """Every invariant, with what violates it; exit 1 if any does."""
    from sync.verify import verify as check

    with opened() as office, progress("checking every invariant"):
        violations = check(office.database, office.clock)
    show({"ok": not violations, "violations": violations}, as_json=json)
    raise typer.Exit(1 if violations else 0)


@audit_group.command("verify")
def verify_audit(json: Json = False) -> None:
    """Recomputes every hash chain of the audit log; exit 1 if one is broken."""
    from db.engine import reading
    from sync import audit

    with opened() as office, reading(office.database.engine) as conn:
        breaks = audit.verify(conn)
    show({"ok": not breaks, "breaks": breaks}, as_json=json)
    raise typer.Exit(1 if breaks else 0)


@database_group.command("upgrade")
def upgrade() -> None:
    """Brings the database to the newest revision (opening it does so too)."""
    with opened() as office:
        say(f"{_address(office.database.url)} is at the newest revision")


@database_group.command("url")
def url(secret: Annotated[bool, typer.Option("--secret", help="With the password, for other programs.")] = False) -> None:
    """Where the database is."""
    with opened() as office:
        print(office.database.url if secret else _address(office.database.url))


@database_group.command("shell")
def shell() -> None:
    """Psql on the database; the embedded server stays up while it is open."""
    import subprocess

    with opened() as office:
        server = office.database.server
        program = shutil.which("psql") or (str(server.place.binaries / "psql") if server else "psql")
        address = office.database.url.replace("postgresql+psycopg://", "postgresql://")
        raise typer.Exit(subprocess.run([program, address], check=False).returncode)


def doctor(json: Json = False) -> None:
    """What is wrong with this installation, and how to mend it."""
    from app.doctor import examine

    findings = examine(os.environ)
    well = all(finding.ok for finding in findings)
    show({"ok": well, "findings": findings}, as_json=json)
    if not well:
        fail("; ".join(f"{finding.what}: {finding.words}" for finding in findings if not finding.ok))


def _address(found: str) -> str:
    from sqlalchemy import make_url

    return make_url(found).render_as_string(hide_password=True)


def register(root: typer.Typer) -> None:
    """Adds these commands to the root."""
    root.command()(verify)
    root.command()(doctor)
    root.add_typer(audit_group, name="audit")
    root.add_typer(database_group, name="db")

"""A command carried out here and now, with what follows from it, for the command line: complete when it returns, worker or not."""

from __future__ import annotations

from app.office import Office
from sync.drain import drain
from sync.handlers import run_command


def carry_out(office: Office, command_id: int) -> None:
    """Runs the command, then the decisions, deliveries and refreshes it gave rise to. A worker may run the same: each runs once."""
    run_command(office.database, office.landscape, command_id, office.clock)
    drain(office.database, office.landscape, office.clock)

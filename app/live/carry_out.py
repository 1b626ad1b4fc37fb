"""A command carried out here and now, with what follows from it, for the command line: complete when it returns, worker or not."""

from __future__ import annotations

from app.office import Office


def carry_out(office: Office, command_id: int) -> None:
    """Runs the command, then the rules, deliveries and refreshes it gave rise to. A worker may run the same: each runs once."""
    from sync.deferral import drain
    from sync.handlers import run_command

    run_command(office.database, office.landscape, command_id, office.clock)
    drain(office.database, office.landscape, office.clock)

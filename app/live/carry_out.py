"""A command carried out here and now, with what follows from it, for the command line: complete when it returns, worker or not."""

from __future__ import annotations

import sqlalchemy as sa

from app.office import Office
from db.engine import reading
from sync import delivery, effects, process_region
from sync.handlers import run_command
from sync.refreshing import refresh_measures

MOST_ROUNDS = 20


def carry_out(office: Office, command_id: int) -> None:
    """Runs the command, then the decisions, deliveries and refreshes it gave rise to. A worker may run the same: each runs once."""
    run_command(office.database, office.landscape, command_id, office.clock)
    for _ in range(MOST_ROUNDS):
        if not _follow_up(office):
            break
    refresh_measures(office.database.engine, office.landscape, now=office.clock.now())


def _follow_up(office: Office) -> bool:
    """One round over the regions with new events and the connections with effects due; whether there was any."""
    with reading(office.database.engine) as conn:
        regions = conn.execute(sa.text("select distinct region from process.event where state = 'new'")).scalars().all()
        due = effects.connections_due(conn)
    events = sum(process_region.run(office.database, office.landscape, region, office.clock).events for region in regions)
    reachable = [name for name in due if not office.landscape.connection(name).missing()]
    for name in reachable:
        delivery.run(office.database, office.landscape, name, office.clock)
    return events > 0

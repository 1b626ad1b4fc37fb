"""Everything that waits to be decided, delivered or refreshed, done here and now: for the command line, where no worker may run."""

from __future__ import annotations

import structlog

from db.clock import Clock
from db.engine import Database, reading
from sync import delivery, effects, process_region
from sync.connections import ConfigError, Landscape
from sync.refreshing import refresh_measures

MOST_ROUNDS = 20
log = structlog.get_logger(__name__)


def drain(database: Database, landscape: Landscape, clock: Clock) -> int:
    """Refreshes, decides and delivers until nothing is due; returns how many rounds it took.

    What waits for a later moment, or for a target that does not answer, is left to the worker.
    """
    for done in range(MOST_ROUNDS):
        refresh_measures(database.engine, landscape, now=clock.now())
        with reading(database.engine) as conn:
            regions, targets = process_region.regions_due(conn), effects.connections_due(conn)
        for region in regions:
            process_region.run(database, landscape, region, clock)
        if not regions and not targets:
            return done
        with reading(database.engine) as conn:
            targets = effects.connections_due(conn)
        for connection in targets:
            try:
                delivery.run(database, landscape, connection, clock)
            except ConfigError as error:
                log.warning("drain.not_configured", connection=connection, error=str(error))
    return MOST_ROUNDS

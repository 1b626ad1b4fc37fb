"""`tidegate verify`: every statement that must always be true, and what violates it."""

from __future__ import annotations

from db.clock import Clock
from db.engine import Database, reading
from metrics.invariants import Violation, check
from sync import audit


def verify(database: Database, clock: Clock) -> list[Violation]:
    """The violations, none when all is well: the measures' and the ledger's invariants, and the audit chains."""
    with reading(database.engine) as conn:
        found = list(check(conn, now=clock.now()))
        breaks = audit.verify(conn)
    if breaks and not any(violation.invariant.startswith("I7") for violation in found):
        words = "; ".join(f"{entry.chain}#{entry.id}: {entry.words}" for entry in breaks[:5])
        found.append(Violation("I7", len(breaks), str(breaks[0].id), words))
    return found

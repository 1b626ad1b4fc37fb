"""Services that a host may do without: their streams are empty then, and the connection test says what is missed."""

from __future__ import annotations

from sync.errors import PermanentError
from sync.ports import Cursor
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.wire import EntitySet


def missing(session: Session, entity_set: EntitySet, cursor: Cursor | None) -> bool:
    """Whether the host has no such service. One that was read before (a cursor says so) and is gone raises PermanentError instead: a
    stream does not fall silent without a word.
    """
    try:
        return not session.has(entity_set) and _may(cursor)
    except PermanentError as error:
        if is_absent(error) and _may(cursor):
            return True
        raise


def is_absent(error: PermanentError) -> bool:
    """Whether an error says that there is no such service, rather than that we may not read it."""
    return error.status in (404, 410) or "/IWFND/MED/170" in error.detail or "no service found" in error.detail.lower()


def _may(cursor: Cursor | None) -> bool:
    return cursor is None or "absent_at" in cursor

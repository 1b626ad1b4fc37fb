"""`connections test`: whether a host can be reached, lets us in, keeps time, and has what each stream needs; in words what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sync.clock_skew import clock_finding
from sync.connections import Connection
from sync.errors import AuthError, PermanentError, QuotaError, SourceError
from sync.http import wall_clock
from sync.ports import Finding
from sync.systems.sap_s4.absence import is_absent
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.credit import credit_set
from sync.systems.sap_s4.journal import journal_set
from sync.systems.sap_s4.odata import listing
from sync.systems.sap_s4.settings import Settings
from sync.systems.sap_s4.wire import BILLING, COMPANIES, CUSTOMERS, DELIVERIES, ITEMS, ORDERS, PARTNERS, RENAMED, EntitySet

NEEDED = {PARTNERS: "customers", CUSTOMERS: "customers", COMPANIES: "customers", ORDERS: "sales_orders", BILLING: "billing_documents",
          ITEMS: "accounting_items"}  # fmt: skip
"""Set -> the stream that can't do without it."""


def probe(connection: Connection, settings: Settings, session: Session, *, now: datetime) -> Iterator[Finding]:
    """The findings, one service after the other; only the first is told where the host itself refuses us. `now` is not needed: the
    host's clock is held against the wall's.
    """
    del now
    session.client.interactive = True  # somebody waits for it
    told_clock = False
    optional = {DELIVERIES: "deliveries", journal_set(settings): "journal_lines"}
    for entity_set, stream in {**NEEDED, credit_set(settings): "credit_accounts", **optional}.items():
        if not connection.stream(stream).enabled:
            continue
        try:
            words = _readable(session, entity_set)
        except SourceError as error:
            if entity_set in optional and isinstance(error, PermanentError) and is_absent(error):
                words = f"{explained(error, entity_set, session)}; without it the stream {stream} stays empty"
                yield Finding(entity_set.path, ok=True, words=words)
                continue
            yield Finding(entity_set.path, ok=False, words=explained(error, entity_set, session))
            if isinstance(error, AuthError | QuotaError) or (error.status is None and not isinstance(error, PermanentError)):
                return  # what stopped this one stops them all
            continue
        if not told_clock:
            told_clock = True
            yield _reached(connection, session)
            yield clock_finding({"date": session.date or ""}, wall=wall_clock())
        yield Finding(entity_set.path, ok=True, words=words)


def explained(error: SourceError, entity_set: EntitySet, session: Session) -> str:
    """The error, and whom to ask for what."""
    service, detail = entity_set.service, error.detail
    if "/IWFND/MED/170" in detail or "no service found" in detail.lower():
        return (
            f"{detail}; the service {service} is not active on this host: the basis administrator adds it in transaction /IWFND/MAINT_SERVICE"
            " (on premise), or assigns its communication scenario (cloud)"
        )
    if error.status == 403:
        return (
            f"{detail}; the user may not read {service}: ask the authorisation team for S_SERVICE on it and for the display roles behind it"
        )
    if error.status == 404:
        return f"{detail}; nothing is at {session.path(entity_set)}: check base_url, the service's path and version, and that its ICF node is on"
    if isinstance(error, AuthError) and "client certificate" in detail:
        return f"{detail}; have the basis administrator trust its authority (STRUST) and map it to our user (CERTRULE or EXTID_DN)"
    if isinstance(error, AuthError):
        return f"{detail}; check user and password, or client id, secret and token_url; a dialog user may be locked or its password initial"
    return detail


def _readable(session: Session, entity_set: EntitySet) -> str:
    """Reads a first page of one record with every property that we want; what we go without, in words."""
    fields, expanded = session.chosen(entity_set)
    while True:
        try:
            params = {**session.select(entity_set), "$top": "1"}
            answer = session.get(entity_set, params)
            break
        except PermanentError as error:
            if not session.learn(entity_set, error):
                raise
            fields, expanded = session.chosen(entity_set)
    first = listing(answer.body)
    without = [name for name in entity_set.wanted if name not in fields and RENAMED.get(name) not in fields]
    without += [name for name, _ in entity_set.expand if len(expanded) < len(entity_set.expand)]
    words = f"can be read, OData {session.dialect(entity_set).protocol.upper()}"
    if not first.split.records:
        words += ", but shows no record: it may be empty, or the user is not authorised for its organisation"
    return words + (f"; this release has no {', '.join(without)}" if without else "")


def _reached(connection: Connection, session: Session) -> Finding:
    client = f", client {session.settings.sap_client}" if session.settings.sap_client else ""
    return Finding("sign-in", ok=True, words=f"{session.settings.base_url}{client}: the credentials of {connection.name} are accepted")

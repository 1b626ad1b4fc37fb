"""`connections test` of an org: every step that the first pull and the first write need, and in words what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sync.clock_skew import clock_finding
from sync.connections import Connection
from sync.errors import SourceError
from sync.ports import Finding
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.mapping import map_page
from sync.systems.salesforce.pages import Asking
from sync.systems.salesforce.schema import Schema
from sync.systems.salesforce.settings import Settings
from sync.systems.salesforce.wire import Reading, full_id, newest_stamp, readings, soql


def findings(connection: Connection, settings: Settings, session: Session, *, now: datetime) -> Iterator[Finding]:
    """Login, version, org, clock, calls, then each object and a first page, then the account's fields for the way back."""
    yield _login(settings, session)
    yield _version(settings, session)
    schema = Schema(connection, session)
    yield _organization(settings, schema)
    yield clock_finding({"date": session.date or ""}, wall=session.answered_at)
    yield _calls(settings, session)
    for reading in readings(settings).values():
        yield from _object(connection, settings, session, schema, reading, now)
    yield _external_id(settings, session)


def _login(settings: Settings, session: Session) -> Finding:
    token = session.login()  # an AuthError ends the test here, with what to do
    words = f"{settings.token_url} gave a token ({'JWT' if settings.auth == 'jwt' else 'client credentials'})"
    told = (token.told or token.root).rstrip("/")
    if told != token.root:
        words += f"; the org names its instance {told}, which is not among instance_urls: {token.root} is used"
    return Finding("credentials", ok=True, words=words)


def _version(settings: Settings, session: Session) -> Finding:
    try:
        said = session.get("/services/data").json()
    except SourceError as error:
        return Finding("version", ok=False, words=error.detail)
    offered = [f"v{entry['version']}" for entry in said if isinstance(entry, dict) and "version" in entry] if isinstance(said, list) else []
    wanted = settings.api_version
    if wanted in offered:
        return Finding("version", ok=True, words=f"the org speaks {wanted}")
    return Finding("version", ok=False, words=f"the org does not speak {wanted}, but {', '.join(offered[-5:]) or 'nothing'}")


def _organization(settings: Settings, schema: Schema) -> Finding:
    try:
        org = schema.organization()
    except SourceError as error:
        return Finding("organization", ok=False, words=error.detail)
    org_id = full_id(org.get("Id")) if org else None
    configured = full_id(settings.organization_id)
    if org_id is None:
        return Finding("organization", ok=True, words="the integration user may not read Organization; its id can't be compared")
    kind = "sandbox" if org and org.get("IsSandbox") is True else "production"
    if configured is None:
        return Finding("organization", ok=True, words=f'{org_id} ({kind}); outbound messages need organization_id = "{org_id}"')
    words = f"{org_id} ({kind})" if configured == org_id else f"the org is {org_id}, organization_id says {configured}"
    return Finding("organization", ok=configured == org_id, words=words)


def _calls(settings: Settings, session: Session) -> Finding:
    try:
        said = session.get(f"{settings.data}/limits").json()
    except SourceError:
        said = None
    budget = session.client.gate.budget
    daily = said.get("DailyApiRequests") if isinstance(said, dict) else None
    if isinstance(daily, dict) and isinstance(daily.get("Max"), int) and isinstance(daily.get("Remaining"), int):
        used, limit = daily["Max"] - daily["Remaining"], daily["Max"]
    elif budget.told_limit:
        used, limit = budget.told_used or 0, budget.told_limit
    else:
        return Finding("calls", ok=True, words="the org names no call limit")
    words = f"{used} of {limit} calls used in 24 hours"
    return Finding("calls", ok=used < limit, words=words if used < limit else f"{words}: none is left; it counts 24 rolling hours")


def _object(
    connection: Connection, settings: Settings, session: Session, schema: Schema, reading: Reading, now: datetime
) -> Iterator[Finding]:
    what = f"{reading.object} fields"
    try:
        chosen = schema.chosen(reading, now=now)
    except SourceError as error:
        yield Finding(what, ok=False, words=error.detail)
        return
    if chosen is None:
        yield Finding(
            what, ok=True, words=f"this org has no {reading.object}, or hides it from us: the stream {reading.stream} stays quiet"
        )
        return
    absent = [name for name in reading.wanted if name not in chosen.fields]
    words = f"{len(chosen.fields)} read" + (f"; not in this org: {', '.join(absent)}" if absent else "")
    if chosen.formulas:
        words += f"; formulas, current only as of the last comparison: {', '.join(chosen.formulas)}"
    yield Finding(what, ok=True, words=words)
    asking = Asking(connection, settings, session, reading, chosen, now)
    yield _first_page(asking, now)


def _first_page(asking: Asking, now: datetime) -> Finding:
    reading = asking.reading
    what = f"{reading.stream} first page"
    try:
        answer = asking.ask(f"{soql(reading, asking.chosen.fields, None, until=None)} LIMIT 5")
        mapped = map_page(reading.stream, asking.page(answer, what, None), asking.settings)
    except SourceError as error:
        if error.code == "INVALID_TYPE" and reading.optional:
            words = f"this org answers no query of {reading.object}: the stream {reading.stream} stays quiet"
            return Finding(what, ok=True, words=words)
        return Finding(what, ok=False, words=error.detail)
    bad = mapped.rejects.height
    newest = newest_stamp(answer.body)
    ahead = f"; stamps lie ahead of our clock by {newest - now}" if newest and newest > now + timedelta(minutes=5) else ""
    words = f"{mapped.records} records read, {bad} could not be mapped{ahead}"
    if bad and "CurrencyIsoCode" in mapped.rejects["field"].to_list() and asking.chosen.currency is None:
        words += "; in an org of a single currency set the option currency"
    return Finding(what, ok=not bad, words=words)


def _external_id(settings: Settings, session: Session) -> Finding:
    """Whether collections status can go back: the number identifies one account, and our fields may be changed."""
    names = settings.fields
    try:
        visible = session.describe("Account") or {}
    except SourceError as error:
        return Finding("writing", ok=False, words=error.detail)
    missing = [
        name
        for name in (
            names.erp_number,
            names.collections_status,
            names.collections_overdue,
            names.collections_as_of,
            names.collections_version,
        )
        if name not in visible
    ]
    if missing:
        words = f"Account shows no field {', '.join(missing)}: collections status can't be written back until it does"
        return Finding("writing", ok=True, words=words)
    wrong = _unfit(names.erp_number, visible, settings)
    if wrong:
        return Finding("writing", ok=False, words="; ".join(wrong))
    return Finding("writing", ok=True, words=f"{names.erp_number} names one account, and the collections fields may be changed")


def _unfit(number: str, visible: Mapping[str, Mapping[str, Any]], settings: Settings) -> list[str]:
    names = settings.fields
    wrong = []
    if visible[number].get("externalId") is False and visible[number].get("idLookup") is not True:
        wrong.append(f"{number} is no external id: mark it External ID in Object Manager")
    if visible[number].get("unique") is False:
        wrong.append(f"{number} is not unique: mark it Unique, so that no two accounts are one customer")
    fixed = [
        name
        for name in (names.collections_status, names.collections_overdue, names.collections_as_of, names.collections_version)
        if visible[name].get("updateable") is False
    ]
    if fixed:
        wrong.append(f"the integration user may not edit {', '.join(fixed)}: give it edit access")
    return wrong

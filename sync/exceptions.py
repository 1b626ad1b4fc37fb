"""The exception queue: what could not pass, opened once per subject and cause, and the states it goes through.

new -> acknowledged -> replaying -> resolved; resolved that comes back is `regressed` and keeps the fix it came back from; dismissed
until a moment, it wakes when it fails again after that moment.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa

from db.engine import Writing
from sync import sla
from sync.canonical.causes import CAUSES
from sync.fingerprint import VERSION, fingerprint
from sync.process_facts import rates

Kind = Literal["record", "file", "effect", "rule", "stream"]

OPEN_STATES = ("new", "acknowledged", "waiting", "replaying", "regressed")


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that could not pass. `message` says what happened, to which record; `field` narrows the group."""

    cause: str
    kind: Kind
    connection: str
    region: str
    message: str
    entity: str | None = None
    source_key: str | None = None
    field: str | None = None
    stream: str | None = None
    legal_entity: str | None = None
    raw_record_id: int | None = None
    effect_id: int | None = None
    event_id: int | None = None
    customer_key: str | None = None
    customer_name: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    evidence: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    attempts: int = 0


_FIND = """
select id, state, dismissed_until, resolution from process.exception
where fingerprint = :fingerprint and connection = :connection and kind = :kind
  and coalesce(effect_id, 0) = coalesce(:effect_id, 0) and coalesce(event_id, 0) = coalesce(:event_id, 0)
  and coalesce(source_key, '') = coalesce(:source_key, '')
order by id desc limit 1 for update
"""

_AGAIN = """
update process.exception set occurrences = occurrences + 1, attempts = greatest(attempts, :attempts), last_seen = :now, message = :message,
  evidence = cast(:evidence as jsonb), state = :state, regressed_from = coalesce(:regressed_from, regressed_from),
  resolved_at = case when :state = 'regressed' then null else resolved_at end,
  resolution = case when :state = 'regressed' then null else resolution end,
  dismissed_until = case when :state = 'dismissed' then dismissed_until end
where id = :id
"""

_NEW = """
insert into process.exception (fingerprint, fingerprint_version, cause, severity, state, kind, connection, stream, region, legal_entity,
  entity, source_key, raw_record_id, effect_id, event_id, customer_key, customer_name, money_at_risk, currency, money_at_risk_reporting,
  message, hint, evidence, first_seen, last_seen, attempts, due_at)
values (:fingerprint, :version, :cause, :severity, 'new', :kind, :connection, :stream, :region, :legal_entity, :entity, :source_key,
  :raw_record_id, :effect_id, :event_id, :customer_key, :customer_name, :amount, :currency, :reporting, :message, :hint,
  cast(:evidence as jsonb), :now, :now, :attempts, :due_at)
returning id
"""


def record_exception(conn: Writing, failure: Failure, *, now: datetime, reporting_currency: str) -> int:
    """Opens the exception of `failure`, or counts it on the one that is there; returns its id. `now`: business time, UTC.

    A resolved one comes back as regressed; a dismissed one wakes once its moment has passed.
    """
    cause = CAUSES[failure.cause]
    mark = fingerprint(failure.cause, failure.connection, failure.entity, failure.field)
    values: dict[str, Any] = {
        **{name: getattr(failure, name) for name in failure.__slots__ if name not in ("evidence", "field")},
        "fingerprint": mark,
        "version": VERSION,
        "evidence": json.dumps(dict(failure.evidence), default=str),
        "now": now,
    }
    conn.execute(sa.text("select pg_advisory_xact_lock(hashtextextended(:fingerprint || coalesce(:source_key, ''), 7))"), values)
    found = conn.execute(sa.text(_FIND), values).one_or_none()
    if found is not None:
        state = found.state
        if state == "resolved":
            state = "regressed"
        elif state == "dismissed" and (found.dismissed_until is None or found.dismissed_until <= now):
            state = "new"
        elif state in ("waiting", "replaying"):
            state = "acknowledged"
        regressed_from = found.resolution if state == "regressed" and found.state == "resolved" else None
        conn.execute(sa.text(_AGAIN), {**values, "id": found.id, "state": state, "regressed_from": regressed_from})
        return int(found.id)
    values |= {
        "severity": cause.severity,
        "hint": cause.hint,
        "due_at": sla.due(cause.severity, now),
        "reporting": _reporting(conn, failure, reporting_currency, now),
    }
    return int(conn.execute(sa.text(_NEW), values).scalar_one())


def _reporting(conn: Writing, failure: Failure, currency: str, now: datetime) -> Decimal | None:
    if failure.amount is None or failure.currency is None:
        return None
    return rates(conn, currency, now.date()).convert(abs(failure.amount), failure.currency)


def resolve(conn: Writing, ids: Sequence[int], *, now: datetime, resolution: str) -> int:
    """Closes these exceptions with the fix in words; returns how many were open."""
    return conn.execute(
        sa.text(
            "update process.exception set state = 'resolved', resolved_at = :now, resolution = :resolution, dismissed_until = null"
            " where id = any(:ids) and state <> 'resolved'"
        ),
        {"ids": list(ids), "now": now, "resolution": resolution},
    ).rowcount


def resolve_effect(conn: Writing, effect_id: int, *, now: datetime, resolution: str, but: str | None = None) -> int:
    """Closes what was open about an effect, as once it is confirmed; not what has the cause `but`. Returns how many were open."""
    return conn.execute(
        sa.text(
            "update process.exception set state = 'resolved', resolved_at = :now, resolution = :resolution"
            " where effect_id = :id and kind = 'effect' and state not in ('resolved', 'dismissed')"
            " and cause is distinct from cast(:but as text)"
        ),
        {"id": effect_id, "now": now, "resolution": resolution, "but": but},
    ).rowcount


def resolve_event(conn: Writing, event_ids: Sequence[int], *, now: datetime, resolution: str) -> int:
    """Closes what was open about events that a rule could handle after all."""
    return conn.execute(
        sa.text(
            "update process.exception set state = 'resolved', resolved_at = :now, resolution = :resolution"
            " where event_id = any(:ids) and kind = 'rule' and state not in ('resolved', 'dismissed')"
        ),
        {"ids": list(event_ids), "now": now, "resolution": resolution},
    ).rowcount


def wake(conn: Writing, *, now: datetime) -> int:
    """Brings back those dismissed until a moment that has passed; nothing that still fails stays hidden."""
    return conn.execute(
        sa.text(
            "update process.exception set state = 'new', dismissed_until = null"
            " where state = 'dismissed' and dismissed_until is not null and dismissed_until <= :now"
        ),
        {"now": now},
    ).rowcount

"""What Tidegate does: streams and their cursors, batches, events, decisions, commands, effects and exceptions."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from db.schema.base import amount, big, currency, document, flag, identity, metadata, share, text, texts, when, whole


def _table(name: str, *parts: sa.schema.SchemaItem, rls: bool = False) -> sa.Table:
    return sa.Table(name, metadata, *parts, schema="process", info={"rls": rls})


def _state(*states: str) -> sa.Column[str]:
    allowed = ", ".join(f"'{state}'" for state in states)
    return sa.Column("state", sa.Text, sa.CheckConstraint(f"state in ({allowed})", name="state_known"), nullable=False)


clock = _table(
    "clock",
    sa.Column("id", sa.SmallInteger, sa.CheckConstraint("id = 1", name="single"), primary_key=True),
    when("world_at"),
    when("wall_at"),
    share("rate", null=False),
    when("until_at"),
)

stream = _table(
    "stream",
    text("connection", key=True),
    text("stream", key=True),
    text("region"),
    sa.Column("cursor", pg.JSONB, nullable=True),
    big("lease_token", default=0),
    text("lease_owner", null=True),
    when("lease_until", null=True),
    when("live_since", null=True),
    when("complete_until", null=True),
    when("newest_changed_at", null=True),
    when("last_attempt_at", null=True),
    when("last_success_at", null=True),
    text("last_error", null=True),
    text("last_error_kind", null=True),
    when("next_attempt_at", null=True),
    whole("consecutive_failures", null=False, default=0),
    when("breaker_open_until", null=True),
    flag("is_paused"),
    text("paused_reason", null=True),
    big("records_total", default=0),
    document("budget"),
    document("fields_seen"),
    text("preparing", null=True),
)

run = _table(
    "run",
    identity(),
    text("connection"),
    text("stream"),
    text("region"),
    text("trigger"),
    when("started_at"),
    when("ended_at", null=True),
    _state("running", "done", "failed", "abandoned"),
    whole("pages", null=False, default=0),
    big("records", default=0),
    text("error", null=True),
    sa.Index("ix_run_connection_stream_started_at", "connection", "stream", "started_at"),
    rls=True,
)

batch = _table(
    "batch",
    identity(),
    big("run_id"),
    text("connection"),
    text("stream"),
    text("region"),
    when("committed_at"),
    big("lease_token"),
    whole("pages", null=False),
    big("received"),
    big("promoted"),
    big("unchanged"),
    big("duplicates"),
    big("superseded"),
    big("quarantined"),
    sa.Column("cursor_after", pg.JSONB, nullable=True),
    document("entities"),
    sa.Index("ix_batch_connection_stream_committed_at", "connection", "stream", "committed_at"),
    rls=True,
)

control_total = _table(
    "control_total",
    identity(),
    big("page_id"),
    text("connection"),
    text("region"),
    text("subject"),
    currency(null=True),
    big("declared_count", null=True),
    big("computed_count", null=True),
    amount("declared_amount"),
    amount("computed_amount"),
    flag("agree"),
    text("verdict", null=True),
    when("recorded_at"),
    sa.Index("ix_control_total_page_id", "page_id"),
    rls=True,
)

event = _table(
    "event",
    identity(),
    text("type"),
    text("entity"),
    text("source"),
    text("source_key"),
    big("source_version"),
    text("region"),
    text("legal_entity", null=True),
    when("occurred_at"),
    when("recorded_at"),
    texts("objects"),  # 'invoice:90001234', 'order:512', ... : the object-centric links
    big("raw_record_id"),
    document("data"),
    _state("new", "handled", "failed", "ignored"),
    when("handled_at", null=True),
    whole("attempts", null=False, default=0),
    when("next_attempt_at", null=True),
    sa.UniqueConstraint("source", "source_key", "type", "source_version", "raw_record_id", name="uq_event_once"),
    sa.Index("ix_event_new", "region", "id", postgresql_where=sa.text("state = 'new'")),
    rls=True,
)

decision = _table(
    "decision",
    identity(),
    text("rule"),
    text("rule_version"),
    big("event_id", null=True),
    text("subject_kind"),  # contract, order, invoice, customer
    text("subject_source"),
    text("subject_key"),
    big("party_id", null=True),
    text("region"),
    text("legal_entity", null=True),
    text("outcome"),
    texts("reasons"),
    document("inputs"),
    amount("amount"),
    currency(null=True),
    when("decided_at"),
    text("decided_by"),
    sa.UniqueConstraint("rule", "event_id", "subject_key", name="uq_decision_once"),
    sa.Index("ix_decision_subject", "subject_kind", "subject_source", "subject_key"),
    sa.Index("ix_decision_party_id", "party_id"),
    rls=True,
)

case = _table(
    "case",
    identity(),
    big("decision_id"),
    text("kind"),
    text("region"),
    text("legal_entity", null=True),
    big("party_id", null=True),
    text("customer_name", null=True),
    text("subject_key"),
    amount("amount"),
    currency(null=True),
    _state("open", "approved", "rejected", "obsolete"),
    when("opened_at"),
    text("opened_by"),
    when("closed_at", null=True),
    text("closed_by", null=True),
    text("reason", null=True),
    document("context"),
    sa.CheckConstraint("closed_by is null or closed_by <> opened_by", name="four_eyes"),
    sa.UniqueConstraint("decision_id", "kind", name="uq_case_once"),
    sa.Index("ix_case_open", "region", "opened_at", postgresql_where=sa.text("state = 'open'")),
    rls=True,
)

command = _table(
    "command",
    identity(),
    text("kind"),
    text("idempotency_key"),
    text("actor"),
    text("reason", null=True),
    text("regions"),  # the actor's scope when submitted: '*' or a comma list
    document("payload"),
    _state("queued", "running", "done", "failed"),
    when("created_at"),
    when("started_at", null=True),
    when("finished_at", null=True),
    whole("total", null=False, default=0),
    whole("done", null=False, default=0),
    document("outcome"),
    sa.UniqueConstraint("idempotency_key", name="uq_command_idempotency_key"),
    sa.Index("ix_command_created_at", "created_at"),
)

command_item = _table(
    "command_item",
    big("command_id"),
    big("exception_id"),
    whole("position", null=False),
    text("region"),
    _state("waiting", "resolved", "failed", "skipped"),
    text("outcome", null=True),
    when("finished_at", null=True),
    sa.PrimaryKeyConstraint("command_id", "exception_id"),
    sa.Index("ix_command_item_waiting", "command_id", "position", postgresql_where=sa.text("state = 'waiting'")),
    rls=True,
)

effect = _table(
    "effect",
    identity(),
    text("effect_key"),  # permanent: release:{system}:{order}:{episode}; never reused, never deleted
    text("kind"),
    text("connection"),
    text("region"),
    text("object_key"),
    document("payload"),
    _state("planned", "sent", "confirmed", "unknown", "failed"),
    big("decision_id", null=True),
    big("case_id", null=True),
    text("requested_by"),
    text("approved_by", null=True),
    when("planned_at"),
    when("sent_at", null=True),
    when("settled_at", null=True),
    whole("attempts", null=False, default=0),
    when("next_attempt_at", null=True),
    document("receipt"),
    text("error", null=True),
    text("error_kind", null=True),
    sa.UniqueConstraint("effect_key", name="uq_effect_effect_key"),
    sa.Index("ix_effect_open", "connection", "id", postgresql_where=sa.text("state in ('planned','sent','unknown')")),
    sa.Index("ix_effect_object_key", "connection", "object_key"),
    sa.Index("ix_effect_decision_id", "decision_id"),
    rls=True,
)

exception = _table(
    "exception",
    identity(),
    text("fingerprint"),
    whole("fingerprint_version", null=False, default=1),
    text("cause"),
    text("severity"),
    _state("new", "acknowledged", "waiting", "replaying", "resolved", "regressed", "dismissed"),
    text("kind"),  # record | file | effect | rule | stream
    text("connection"),
    text("stream", null=True),
    text("region"),
    text("legal_entity", null=True),
    text("entity", null=True),
    text("source_key", null=True),
    big("source_version", null=True),
    big("raw_record_id", null=True),
    big("effect_id", null=True),
    big("event_id", null=True),
    text("customer_key", null=True),
    text("customer_name", null=True),
    amount("money_at_risk"),
    currency(null=True),
    amount("money_at_risk_reporting"),
    text("message"),
    text("hint", null=True),
    document("evidence"),
    when("first_seen"),
    when("last_seen"),
    whole("occurrences", null=False, default=1),
    whole("attempts", null=False, default=0),
    when("next_retry_at", null=True),
    when("due_at", null=True),
    text("owner", null=True),
    when("dismissed_until", null=True),
    when("resolved_at", null=True),
    text("resolution", null=True),
    text("regressed_from", null=True),
    sa.Index("ix_exception_open", "state", "cause", postgresql_where=sa.text("state not in ('resolved','dismissed')")),
    sa.Index("ix_exception_fingerprint", "fingerprint"),
    sa.Index("ix_exception_record", "connection", "entity", "source_key"),
    rls=True,
)

webhook = _table(
    "webhook",
    identity(),
    text("connection"),
    text("event_id"),
    text("region"),
    when("received_at"),
    big("page_id", null=True),
    _state("new", "processed", "duplicate", "quarantined"),
    when("settled_at", null=True),
    sa.UniqueConstraint("connection", "event_id", name="uq_webhook_once"),
    rls=True,
)

hint = _table(
    "hint",
    identity(),
    text("connection"),
    text("stream"),
    text("region"),
    texts("keys"),
    flag("whole"),
    big("webhook_id"),
    when("noted_at"),
    when("settled_at", null=True),
    sa.Index("ix_hint_open", "connection", "stream", postgresql_where=sa.text("settled_at is null")),
    rls=True,
)

tick = _table("tick", text("job", key=True), sa.Column("scheduled_at", sa.DateTime(timezone=True), primary_key=True))

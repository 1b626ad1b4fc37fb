"""Who may do what, and who did what."""

from __future__ import annotations

import sqlalchemy as sa

from db.schema.base import big, document, identity, metadata, text, texts, when

audit = sa.Table(
    "audit",
    metadata,
    identity(),
    text("chain"),  # one hash chain per region, '*' for what concerns all
    when("at"),
    text("actor"),
    text("action"),
    text("subject_kind"),
    text("subject_key"),
    text("reason", null=True),
    document("detail"),
    sa.Column("previous_hash", sa.LargeBinary, nullable=True),  # both set by the trigger
    sa.Column("hash", sa.LargeBinary, nullable=True),
    sa.Index("ix_audit_subject", "subject_kind", "subject_key"),
    sa.Index("ix_audit_chain_id", "chain", "id"),
    schema="governance",
    info={"rls_column": "chain"},
)

person = sa.Table(
    "person",
    metadata,
    text("subject", key=True),
    text("issuer", key=True),
    text("name", null=True),
    text("email", null=True),
    texts("groups"),
    texts("roles"),
    texts("regions"),
    when("first_seen"),
    when("last_seen"),
    when("revoked_at", null=True),
    schema="governance",
)

session = sa.Table(
    "session",
    metadata,
    text("id", key=True),
    text("subject"),
    text("issuer"),
    when("started_at"),
    when("last_active_at"),
    when("ended_at", null=True),
    schema="governance",
)

api_token = sa.Table(
    "api_token",
    metadata,
    identity(),
    text("name"),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    texts("scopes"),
    texts("regions"),
    when("created_at"),
    text("created_by"),
    when("expires_at", null=True),
    when("revoked_at", null=True),
    when("last_used_at", null=True),
    schema="governance",
)

setting = sa.Table(
    "setting",
    metadata,
    text("name", key=True),
    document("value"),
    when("changed_at"),
    text("changed_by"),
    big("version", default=1),
    schema="governance",
)

"""The bytes as received: a page of an API, a whole file, a webhook body. Stored before anything is believed."""

from __future__ import annotations

import sqlalchemy as sa

from db.schema.base import big, document, metadata, text, when, whole

ORDINAL_BITS = 24
"""A record is named by `raw_record_id = page id * 2**24 + its ordinal in the page`: no row per record is needed."""

page = sa.Table(
    "page",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Sequence("page_id_seq", schema="raw"), nullable=False),
    when("recorded_at"),
    text("connection"),
    text("stream"),
    text("region"),
    big("run_id", null=True),
    whole("sequence", null=False, default=0),
    text("kind"),  # api_page | file | webhook | edit
    text("name", null=True),
    text("content_type", null=True),
    text("encoding", null=True),  # of `body`: identity or zstd-compressed by us
    sa.Column("digest", sa.LargeBinary, nullable=False),
    whole("byte_count", null=False),
    whole("record_count"),
    document("headers"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("id", "recorded_at"),
    sa.Index("ix_page_connection_stream_digest", "connection", "stream", "digest"),
    sa.Index("ix_page_run_id", "run_id"),
    schema="raw",
    info={"rls": True},
    postgresql_partition_by="RANGE (recorded_at)",
)

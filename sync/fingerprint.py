"""The fingerprint of an exception: what failed alike is one group, whatever the words of its message."""

from __future__ import annotations

import polars as pl

VERSION = 1
"""Goes up when the recipe changes; exceptions keep the version they were grouped under."""


def fingerprint(cause: str, connection: str, entity: str | None = None, field: str | None = None) -> str:
    """The group of a failure: `cause|connection|entity|field`, absent parts empty. Readable, and fit for a URL once quoted."""
    return "|".join((cause, connection, entity or "", field or ""))


def fingerprints(connection: str) -> pl.Expr:
    """The same over a frame with the columns cause, entity and field (as `sync.ports.REJECT_SCHEMA` has them)."""
    return pl.concat_str(
        pl.col("cause"),
        pl.lit(connection),
        pl.col("entity").fill_null(""),
        pl.col("field").fill_null(""),
        separator="|",
    ).alias("fingerprint")

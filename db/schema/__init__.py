"""The tables, one file per Postgres schema. `metadata` is the whole of it, ready for Alembic and for tests."""

from db.schema import canonical, governance, measure, process, raw, security
from db.schema.base import metadata

__all__ = ["canonical", "governance", "measure", "metadata", "process", "raw", "security"]

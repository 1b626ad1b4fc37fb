"""Alembic's entry: runs revisions on the connection that `db.migrations.upgrade` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="public",
    transaction_per_migration=False,
)
context.run_migrations()

"""What Alembic runs for each upgrade: the steps, on the connection that `migrations.migrate` hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="bon_moment_schema")
with context.begin_transaction():
    context.run_migrations()

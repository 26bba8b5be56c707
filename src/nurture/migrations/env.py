"""Runs the migrations on the connection that `nurture.db` hands over."""

from alembic import context
from sqlmodel import SQLModel

import nurture.records  # noqa: F401  (fills the metadata)

context.configure(
    connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()

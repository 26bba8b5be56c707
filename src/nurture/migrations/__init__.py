"""Alembic migrations, in the package so that an installed program can bring its tables up."""

"""Runs the migrations on the connection that `drumroll.ledger.schema` hands over, inside its transaction.

A new revision, after changing `tables.py`, from the project directory:

    ledger = open_ledger("sqlite:////tmp/current.db")
    with ledger.store.write() as connection:
        command.revision(alembic_config(connection), "what changes", autogenerate=True, rev_id="0002")

then read it, set `schema.HEAD`, and write changes of lengths by hand: Alembic does not see those.
"""

from alembic import context

from drumroll.ledger.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite cannot alter a table: Alembic copies it instead.
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

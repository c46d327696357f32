"""A fan-out's writes touch fewer indexes: none holds every row's state, and rows being sent are in one of them"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_RARE = "state NOT IN ('due', 'sending', 'sent')"


def upgrade() -> None:
    op.drop_index("ix_delivery_step", "delivery")
    op.drop_index("ix_delivery_rare", "delivery")
    op.create_index(
        "ix_delivery_rare",
        "delivery",
        ["edition", "state", "due_at", "id"],
        sqlite_where=sa.text(_RARE),
        postgresql_where=sa.text(_RARE),
    )

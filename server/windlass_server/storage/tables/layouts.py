"""How cards shall be divided. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Text, text
from sqlmodel import Field, SQLModel


class GpuLayoutRow(SQLModel, table=True):
    """What a card was last told to be, and what has become of that."""

    __tablename__ = "gpu_layouts"
    __table_args__ = (
        CheckConstraint("state BETWEEN 1 AND 3", name="gpu_layouts_state_known"),
        # The look at what a node has still to do.
        Index(
            "gpu_layouts_changing",
            "node_id",
            sqlite_where=text("state = 1"),
            postgresql_where=text("state = 1"),
        ),
    )

    node_id: str = Field(primary_key=True, foreign_key="nodes.node_id")
    # UUID of the card as a whole.
    card_uuid: str = Field(primary_key=True)
    # Rises with each change of the server's will.
    generation: int = Field(sa_type=BigInteger)
    # Profile and place of each instance, such as `3g.40gb@0,1g.10gb@6`; empty: the card shall be whole.
    instances: str = Field(sa_column=Column(Text, nullable=False))
    # As layout_states.State, and why it could not be, in words.
    state: int
    message: str = Field(sa_column=Column(Text, nullable=False))
    changed_at: int = Field(sa_type=BigInteger)

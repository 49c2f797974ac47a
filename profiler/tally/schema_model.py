"""What the rows of saved files have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SchemaModel(BaseModel):
    """A JSON object; anything unknown in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

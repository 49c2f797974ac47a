"""The base of every object in a saved file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SchemaModel(BaseModel):
    """A JSON object; unknown keys in it are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

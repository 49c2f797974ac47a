"""The schema ``profiler/1`` of saved profiles, and its JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model
from typing_extensions import TypeAliasType

from profiler.tally.figures import DESCRIPTIONS, FIGURES, WORK
from profiler.tally.saved_findings import FindingRow
from profiler.tally.schema_model import SchemaModel
from profiler.values.communication import Communication, ProcessGroup
from profiler.values.memory import Memory
from profiler.values.projection import Projection
from profiler.values.records import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA: Literal["profiler/1"] = "profiler/1"
_GLOBAL = "parameters of the whole model, of which `params` are this rank's; of the whole run only"
_PEAK = "bytes live at the peak by category, of the whole and of each phase"


class TensorRow(SchemaModel):
    """A tensor operand or result, as observed."""

    shape: list[int]
    dtype: str
    elements: int
    layout: str = "strided"
    values: list[int] | None = None
    kept: int | None = None


if TYPE_CHECKING:
    JsonValue = Any  # mypy follows no alias that names itself
else:
    JsonValue = TypeAliasType("JsonValue", TensorRow | bool | int | float | str | list["JsonValue"] | None)


def _figures(names: Iterable[str], **options: Any) -> dict[str, Any]:
    """Return the fields of figures for a model: integers, described where the name does not say it all."""
    return {name: (int, Field(description=DESCRIPTIONS.get(name), **options)) for name in names}


if TYPE_CHECKING:  # mypy knows no fields that are made from a table

    class CostsRow(SchemaModel):
        """A sum of work."""

        global_params: int | None

else:
    CostsRow = create_model(
        "CostsRow",
        __base__=SchemaModel,
        __doc__="A sum of work: MAC, FLOP, op, bytes and elements as in the convention.",
        **_figures(FIGURES),
        peak_memory=(dict[str, int], Field(default_factory=dict, description=_PEAK)),
        global_params=(int | None, Field(default=None, description=_GLOBAL)),
    )


class ModuleRow(SchemaModel):
    """A module: its own costs, and with its children's."""

    path: str
    type: str
    calls: int
    outputs: list[list[int]]
    inputs: list[list[int]] = Field(default_factory=list)
    own: CostsRow = Field(alias="self")
    total: CostsRow


class OperatorRow(SchemaModel):
    """An operator in one dtype."""

    operator: str
    dtype: str
    calls: int
    costs: CostsRow


class UncountedRow(SchemaModel):
    """An operator that no rule counts; or a kernel that is none, with its module and the shapes of what it made."""

    operator: str
    calls: int
    module: str | None = None
    shapes: list[list[int]] = Field(default_factory=list)


class _Record(SchemaModel):
    """A distinct operator call, and what one of its calls costs."""

    operator: str
    module: str
    phase: Phase
    calls: int
    arguments: dict[str, JsonValue]
    results: list[JsonValue]
    mutated: list[str] = Field(default_factory=list)
    aliases: list[int] = Field(default_factory=list)
    kind: str
    dtype: str


if TYPE_CHECKING:

    class RecordRow(_Record):
        """A distinct operator call, and what one of its calls costs."""

else:
    RecordRow = create_model("RecordRow", __base__=_Record, __doc__=_Record.__doc__, **_figures(WORK, default=0))


class ProfileRow(SchemaModel):
    """A saved profile."""

    schema_: Literal["profiler/1"] = Field(alias="schema")
    model: str
    inputs: dict[str, JsonValue]
    device: str
    mode: str = Field(default="", description="the mode of the modules: eval, train or mixed")
    notes: list[str] = Field(default=[], description="what readers of the counts have to know")
    versions: dict[str, str]
    convention: str
    totals: CostsRow
    phases: dict[Phase, CostsRow]
    params_by_dtype: dict[str, int]
    param_bytes: int | None = None
    modules: list[ModuleRow]
    operators: list[OperatorRow]
    uncounted: list[UncountedRow]
    upper_bounds: list[UncountedRow] = Field(
        default_factory=list, description="operators counted at more than ran: lengths of sequences had no values"
    )
    records: list[RecordRow]
    findings: list[FindingRow] = Field(default_factory=list)
    projection: Projection | None = None
    memory: Memory | None = None
    groups: list[ProcessGroup] = Field(default_factory=list)
    communication: list[Communication] = Field(default_factory=list)
    flow: str | None = Field(
        default=None,
        description=(
            "the operator calls in order, separated by spaces: `record<reads>writes`, with the index of the record and "
            "the numbers of the storages of its tensor arguments and results (-1: a tensor without a storage)"
        ),
    )


#: The JSON Schema, as it is published with the package.
PUBLISHED = Path(__file__).with_name("profile.schema.json")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a saved profile."""
    return ProfileRow.model_json_schema(by_alias=True)


def schema_text() -> str:
    """Return the JSON Schema as the text that is published with the package."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"

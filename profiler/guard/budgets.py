"""``budgets.toml``: the models to count, how to count them, and their limits.

baselines = "baselines"       # a folder beside this file; the default

[[budget]]
target = "resnet18"           # and, as on the command line: batch, input, input_file, dtype, device, train, optimizer …
macs = 1_814_073_344
params = "+0 %"
operators."aten.bmm".calls = 0
modules."layer4.*".flops = "+1 %"
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from profiler.errors import BudgetError, ProfilerError
from profiler.guard.limits import Limit, parse_limits
from profiler.util.plain_data import first_problem
from profiler.util.toml_files import parse_toml, read_toml_text


@dataclass(frozen=True, slots=True)
class Budget:
    """A model, how to count it, and its limits."""

    name: str
    target: str
    limits: tuple[Limit, ...]
    inputs: tuple[str, ...] = ()
    batch: int | None = None
    dtype: str | None = None
    device: str = "auto"
    train: bool = False
    optimizer: str | None = None
    checkpoint: bool = False
    freeze: tuple[str, ...] = ()
    #: Line of the file at which its table begins.
    line: int = 1


@dataclass(frozen=True, slots=True)
class Budgets:
    """A file of budgets."""

    path: Path
    baselines: Path
    budgets: tuple[Budget, ...]


def load_budgets(path: Path) -> Budgets:
    """Read a file of budgets.

    Raises:
        BudgetError: The file is missing, is not TOML, or holds a table that is not a budget.
    """
    text = read_toml_text(path, BudgetError, "a TOML file with [[budget]] tables")
    try:
        table = _File.model_validate(parse_toml(text, path, BudgetError))
    except ValidationError as error:
        msg = f"{path}: {first_problem(error)}"
        raise BudgetError(msg) from error
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith("[[budget]]")]
    lines += [1] * (len(table.budget) - len(lines))  # tables written inline
    budgets = tuple(_budget(path, row, line) for row, line in zip(table.budget, lines, strict=False))
    _require_unique_names(path, budgets)
    return Budgets(path, path.parent / table.baselines, budgets)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Budget(BaseModel):
    """A ``[[budget]]`` table; every key that is not an option is a limit."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    target: str
    name: str | None = None
    input: Annotated[list[str], BeforeValidator(_as_list)] = []
    input_file: str | None = None
    batch: int | None = Field(default=None, gt=0)
    dtype: str | None = None
    device: str = "auto"
    train: bool = False
    optimizer: str | None = None
    checkpoint: bool = False
    freeze: Annotated[list[str], BeforeValidator(_as_list)] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    baselines: str = "baselines"
    budget: list[_Budget] = Field(min_length=1)


def _budget(path: Path, row: _Budget, line: int) -> Budget:
    name = row.name or row.target
    if not row.model_extra:
        msg = f'{path}: budget {name!r} has no limit; add one, such as `macs = "+0 %"`'
        raise BudgetError(msg)
    try:
        limits = parse_limits(row.model_extra)
    except ProfilerError as error:
        msg = f"{path}: budget {name!r}: {error}"
        raise BudgetError(msg) from error
    options = row.model_dump(include={"target", "batch", "dtype", "device", "train", "optimizer", "checkpoint"})
    return Budget(name=name, limits=limits, inputs=_inputs(row), freeze=tuple(row.freeze), line=line, **options)


def _inputs(row: _Budget) -> tuple[str, ...]:
    """Return the input specifications: those of shapes, and the file as ``@FILE``."""
    return tuple(row.input) if row.input_file is None else (f"@{row.input_file}", *row.input)


def _require_unique_names(path: Path, budgets: tuple[Budget, ...]) -> None:
    name, times = Counter(budget.name for budget in budgets).most_common(1)[0]
    if times > 1:
        msg = f"{path}: {times} budgets are named {name!r}; give each a `name` of its own"
        raise BudgetError(msg)

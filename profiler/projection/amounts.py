"""The numbers that a plan may be made with: any real one, but none so large or small that a result is not finite."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from profiler.errors import PlanError

_LOWEST, _HIGHEST = 1e-9, 1e24
_MOST = 10**12
#: An integer beyond this cannot be converted to a float.
_PRINTABLE = 10**308
#: A rate, a period or a number of tokens; and a number of things.
Amount = Annotated[PositiveFloat, Field(ge=_LOWEST, le=_HIGHEST)]
Count = Annotated[PositiveInt, Field(le=_MOST)]


def require_amount(value: float, what: str) -> None:
    """Raise unless a plan may be made with *value*; *what* names it, as in "a rate of {} passes per second".

    Raises:
        PlanError: It is not positive, not finite, or out of range.
    """
    if _LOWEST <= value <= _HIGHEST:
        return
    is_number = 0 < value < math.inf
    advice = f"write one from {_LOWEST:g} to {_HIGHEST:g}" if is_number else "write a number above 0"
    shown = "a huge integer" if _PRINTABLE <= abs(value) < math.inf else f"{value:g}"
    msg = f"cannot plan with {what.format(shown)}; {advice}"
    raise PlanError(msg)

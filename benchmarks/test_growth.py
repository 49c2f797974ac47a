"""Time and memory grow with the model and no faster: an exponent within a tenth of 1."""

from __future__ import annotations

import pytest
from growth import FAMILIES, growths

_TENTH = 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_growth_is_linear(family: str) -> None:
    """Hold time and memory of the profile; the bare pass is torch's own affair. Less than linear is well too."""
    found = {growth.figure: growth.exponent for growth in growths(family) if not growth.figure.startswith("bare")}
    assert max(found.values()) <= 1 + _TENTH, found

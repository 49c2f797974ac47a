"""The old name of a field of ``TensorSpec``."""

from __future__ import annotations

import pytest

from profiler.values.records import TensorSpec


def test_the_old_name_of_unmasked_warns():
    mask = TensorSpec((2, 2), "bool", 4, unmasked=3)
    with pytest.warns(DeprecationWarning, match=r"^TensorSpec\.kept is now TensorSpec\.unmasked"):
        assert mask.kept == 3

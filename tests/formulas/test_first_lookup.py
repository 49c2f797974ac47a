"""The rule of an operator does not depend on which operators were looked up before it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("operator", ["aten.index_copy_.default", "aten.gather.default", "aten.mvlgamma.default"])
def test_the_first_operator_of_a_process_has_its_formula(operator):
    code = f"from profiler.formulas import rule_for; print(rule_for({operator!r}).kind)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "formula"

"""One random model before one oracle: what is wrong, and the smallest model that shows it, as a test."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from random_models.building import build
from random_models.oracles import step
from random_models.spec import shrink

if TYPE_CHECKING:
    from random_models.oracles import Oracle
    from random_models.spec import Spec

#: Parts of models that are tried to make one smaller.
_PATIENCE = 200


def fault(oracle: Oracle, spec: Spec) -> str | None:
    """Return what is wrong with the profile of a model, in words; None if nothing is, or if torch refuses the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return oracle.compare(spec)
        except Exception as error:  # noqa: BLE001 - whatever a model raises
            return None if _is_refused(spec) else f"{type(error).__name__}: {error}"


def report(oracle: Oracle, name: str, spec: Spec, words: str) -> str:
    """Return a test of the smallest model with a fault of the same kind, to be pasted."""
    tries = iter(range(_PATIENCE))

    def fails(smaller: Spec) -> bool:
        return next(tries, None) is not None and _kind(fault(oracle, smaller)) == _kind(words)

    small = shrink(spec, fails)
    return (
        f"{fault(oracle, small) or words}\n\n"
        f"def test_a_random_model():\n    assert ORACLES[{name!r}].compare({small!r}) is None\n"
    )


def _kind(words: str | None) -> str:
    return (words or "").split(":")[0]


def _is_refused(spec: Spec) -> bool:
    try:
        step(build(spec))
    except Exception:  # noqa: BLE001 - whatever a model raises
        return True
    return False

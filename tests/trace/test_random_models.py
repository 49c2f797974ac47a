"""Random models against oracles that share no code with the counter, and what is said of one that fails."""

from __future__ import annotations

import pytest
from random_models import Spec, build, random_spec, shrink, trial
from random_models.oracles import ORACLES, closed_form


def check(name, seed):
    """Compare the model of *seed*; a failure has the smallest model that shows it, as a test."""
    oracle = ORACLES[name]
    spec = oracle.spec(seed)
    words = trial.fault(oracle, spec)
    assert words is None, trial.report(oracle, name, spec, words)


@pytest.mark.parametrize("block", range(10))
def test_random_models_take_the_macs_of_their_closed_forms(block):
    for seed in range(10 * block, 10 * (block + 1)):
        check("closed forms", seed)


@pytest.mark.parametrize(("name", "count"), [("meta", 15), ("ones", 15), ("torch's counter", 15), ("the allocator", 3)])
def test_random_models_agree_with(name, count):
    for seed in range(count):
        check(name, seed)


@pytest.mark.slow
def test_a_thousand_random_models_take_the_macs_of_their_closed_forms():
    for seed in range(1000, 2000):
        check("closed forms", seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compiled", "exported"])
def test_random_models_count_the_same(name):
    for seed in range(10):
        check(name, seed)


def test_a_model_is_the_same_for_the_same_seed_and_can_be_written_down():
    spec = random_spec(7)
    assert spec == random_spec(7) == eval(repr(spec), {"Spec": Spec})  # noqa: S307 - our own
    assert build(spec).macs == build(spec).macs


def test_a_model_shrinks_to_the_parts_that_fail():
    spec = next(spec for spec in map(random_spec, range(1000)) if "Encoder" in spec.kinds() and spec.size() > 12)
    small = shrink(spec, lambda each: "Encoder" in each.kinds())
    assert small.size() == 2
    assert small.parts[0].kind == "Encoder"


def test_a_fault_is_reported_as_a_test_of_the_smallest_model(monkeypatch):
    """The closed form of a linear layer is made wrong: a model of it alone is left."""
    from random_models.leaves import Linear

    right = Linear.__init__

    def wrong(self, rng, tape, x):
        right(self, rng, tape, x)
        tape.ops[-1].macs += 1

    monkeypatch.setattr(Linear, "__init__", wrong)
    oracle = ORACLES["closed forms"]
    spec = Spec("Chain", 5, (Spec("Residual", 1, (Spec("Pointwise", 2), Spec("Linear", 1))), Spec("Shaped", 4)))
    text = trial.report(oracle, "closed forms", spec, closed_form(spec))
    assert "the closed form: {('forward', '0'): " in text
    assert """assert ORACLES['closed forms'].compare(Spec("Chain", """ in text
    assert text.count("Spec(") == 2

"""Closed forms of known functions, derived from their values alone."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.derive import CeilStep, Origin, Variable, derive
from profiler.derive.polynomials import evaluate
from profiler.errors import DerivationError, ModelError

BATCH, SEQUENCE = Variable("batch", range(1, 9), 1), Variable("sequence", range(2, 1025), 1024)
RESOLUTION = Variable("resolution", range(56, 449), 224)
ONLY = Origin("", "operator")


def only(function):
    """Return a cost with a single origin."""
    return lambda point: {ONLY: function(**point)}


def total(piece):
    return {
        tuple((step.variable, step.offset, step.size, n) for step, n in monomial): coefficient
        for monomial, coefficient in piece.total.items()
    }


def plain(**powers):
    return tuple((name, 0, 1, n) for name, n in sorted(powers.items()))


def up(a, b):
    return -(-a // b)


def test_a_polynomial_is_found_with_its_terms():
    (piece,) = derive(
        only(lambda batch, sequence: 24 * batch * sequence + 4 * batch * sequence**2 + 12), (BATCH, SEQUENCE)
    ).pieces
    assert total(piece) == {plain(batch=1, sequence=1): 24, plain(batch=1, sequence=2): 4, (): 12}


def test_a_half_is_exact():
    (piece,) = derive(only(lambda sequence: sequence * (sequence + 1) // 2), (SEQUENCE,)).pieces
    assert total(piece) == {plain(sequence=1): Fraction(1, 2), plain(sequence=2): Fraction(1, 2)}


def test_every_origin_has_its_own_polynomial():
    first, second = Origin("a", "x"), Origin("b", "y", "pointwise")
    (piece,) = derive(lambda p: {first: p["batch"] * p["sequence"], second: 7}, (BATCH, SEQUENCE)).pieces
    assert {origin: list(p.values()) for origin, p in piece.polynomials.items()} == {first: [1], second: [7]}


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1)),
        st.integers(1, 10**9),
        min_size=1,
        max_size=6,
    )
)
def test_any_polynomial_is_found_again(coefficients):
    variables = (BATCH, SEQUENCE, Variable("layers", range(1, 13), 12))

    def cost_at(point):
        sizes = [point[v.name] for v in variables]
        return {ONLY: sum(c * sizes[0] ** i * sizes[1] ** j * sizes[2] ** k for (i, j, k), c in coefficients.items())}

    used = [any(powers[axis] for powers in coefficients) for axis in range(3)]
    if not all(used):
        with pytest.raises(DerivationError, match="does not depend"):
            derive(cost_at, variables)
        return
    (piece,) = derive(cost_at, variables).pieces
    expected = {
        plain(**{v.name: n for v, n in zip(variables, powers, strict=True) if n}): c
        for powers, c in coefficients.items()
    }
    assert total(piece) == expected


def test_terms_that_are_not_there_cost_few_points():
    """The full grid has 2·3·2·3·2·2 = 144 points; the terms are few, and so are the points."""
    calls = []
    variables = (BATCH, SEQUENCE, Variable("layers", range(1, 13), 12), Variable("hidden", range(64, 769), 768))
    variables += (Variable("vocab", range(100, 50000), 50000), Variable("intermediate", range(64, 4096), 4096))

    def cost(batch, sequence, layers, hidden, vocab, intermediate):
        calls.append(batch)
        body = 8 * hidden**2 + 4 * hidden * intermediate + 4 * sequence * hidden
        return batch * sequence * (layers * body + 2 * hidden * vocab)

    (piece,) = derive(only(cost), variables).pieces
    assert len(piece.total) == 4
    assert len(piece.used) < 100
    assert len(calls) == len(piece.used) + len(piece.verified)


def test_points_are_verified_that_were_not_used_and_as_many_as_there_are_terms():
    (piece,) = derive(only(lambda batch, sequence: (batch + 1) ** 2 * (sequence + 1) ** 3), (BATCH, SEQUENCE)).pieces
    assert len(piece.total) == 12
    assert len(piece.verified) >= 12
    assert not [point for point in piece.verified if point in piece.used]
    assert {"batch": 8, "sequence": 1024} in piece.verified
    assert {"batch": 1, "sequence": 2} in (*piece.verified, *piece.used)


def test_floors_of_strides_are_found_as_steps():
    """Two convolutions of stride 2 and kernel 3 without padding: ((n - 3)//2 + 1 - 3)//2 + 1."""

    def cost(batch, resolution):
        first = (resolution - 3) // 2 + 1
        return 100 * batch * first**2 + batch * ((first - 3) // 2 + 1)

    (piece,) = derive(
        lambda p: {
            Origin("a", ""): 100 * p["batch"] * ((p["resolution"] - 3) // 2 + 1) ** 2,
            Origin("b", ""): cost(**p),
        },
        (BATCH, RESOLUTION),
    ).pieces
    for batch, resolution in product((1, 5), range(56, 449, 3)):
        assert evaluate(piece.polynomials[Origin("b", "")], {"batch": batch, "resolution": resolution}) == cost(
            batch, resolution
        )
    assert {step.size for monomial in piece.total for step, _ in monomial if step.variable == "resolution"} == {2, 4}


@pytest.mark.parametrize("spatial", [1, 2, 4, 8, 16, 32])
def test_a_stage_of_a_resnet_is_the_square_of_its_step(spatial):
    (piece,) = derive(
        only(lambda batch, resolution: 9408 * batch * up(resolution, spatial) ** 2), (BATCH, RESOLUTION)
    ).pieces
    assert total(piece) == {(("batch", 0, 1, 1), ("resolution", 0, spatial, 2)): 9408}


def test_a_long_stride_is_found_without_measuring_every_size():
    """The last layer of wav2vec 2.0 has a stride of 320 samples."""
    samples = Variable("samples", range(4000, 64001), 16000)
    (piece,) = derive(only(lambda samples: 7 * ((samples - 400) // 320 + 1)), (samples,)).pieces
    assert len(piece.used) < 60
    assert all(evaluate(piece.total, {"samples": n}) == 7 * ((n - 400) // 320 + 1) for n in range(4000, 64001, 77))


def test_a_padded_pool_that_depends_on_two_steps_is_found():
    """Max pooling 3×3 of stride 2 with padding compares only what is there; its input has a stride of 2 itself."""
    pool, convolution = Origin("pool", ""), Origin("convolution", "")

    def cost_at(point):
        before, after = up(point["resolution"], 2), up(point["resolution"], 4)
        return {convolution: before**2, Origin("next", ""): after**2, pool: (before + after - 1) ** 2 - after**2}

    (piece,) = derive(cost_at, (RESOLUTION,)).pieces
    for n in range(56, 449):
        assert evaluate(piece.polynomials[pool], {"resolution": n}) == cost_at({"resolution": n})[pool]


def test_two_ways_of_working_are_two_pieces():
    """A window of 100: every position sees up to 100 before it."""
    cost = lambda sequence: sum(min(n, 100) for n in range(1, sequence + 1))
    small, large = derive(only(cost), (SEQUENCE,)).pieces
    assert (small.variables[0].low, small.variables[0].high) == (
        2,
        100,
    )  # n(n+1)/2 and 100·n - 4950 agree at 99 and 100
    assert total(large) == {plain(sequence=1): 100, (): -4950}


def test_a_batch_of_one_that_goes_its_own_way_is_a_piece():
    first, *others = derive(only(lambda batch, sequence: sequence**2 * batch + (batch > 1)), (BATCH, SEQUENCE)).pieces
    assert first.variables[0].sizes == range(1, 2)
    assert [(p.variables[0].low, p.variables[0].high) for p in others] == [(2, 8)]


def test_operators_that_replace_each_other_are_taken_together():
    cost_at = lambda p: {Origin("attention", "bmm" if p["batch"] > 1 else "mm"): p["batch"] * p["sequence"] ** 2}
    (piece,) = derive(cost_at, (BATCH, SEQUENCE)).pieces
    assert [origin.operator for origin in piece.polynomials] == ["several operators"]
    assert total(piece) == {plain(batch=1, sequence=2): 1}


@pytest.mark.parametrize(
    "cost",
    [
        lambda batch, sequence: 7 * batch * max(sequence, 20 * batch),
        lambda batch, sequence: batch.bit_length() * sequence + (batch * 37) % 11,
        lambda batch, sequence: batch * 2 ** min(sequence, 200),
        lambda batch, sequence: batch * sequence + (batch * sequence) // 5,
    ],
    ids=["a kink that moves", "bits", "exponential", "a floor of a product"],
)
def test_what_is_no_polynomial_is_refused_with_its_sizes(cost):
    with pytest.raises(DerivationError, match=r"polynomial in .*batch|polynomial in .*sequence") as caught:
        derive(only(cost), (BATCH, SEQUENCE))
    assert "\n" not in str(caught.value)


def test_a_single_exception_inside_the_range_is_not_fitted_over():
    """One size of a thousand costs more, and it is one of those that are verified."""
    (piece,) = derive(only(lambda sequence: 3 * sequence), (SEQUENCE,)).pieces
    (odd,) = {p["sequence"] for p in piece.verified} - {1024, 2} and [piece.verified[2]["sequence"]]
    with pytest.raises(DerivationError, match=f"sequence={odd}"):
        derive(only(lambda sequence: 3 * sequence + (sequence == odd)), (SEQUENCE,))


def test_a_variable_without_effect_is_refused():
    with pytest.raises(DerivationError, match="does not depend on 'sequence'"):
        derive(only(lambda batch, sequence: 5 * batch), (BATCH, SEQUENCE))


def multiples_of_12(point):
    if point["hidden"] % 12:
        msg = f"hidden={point['hidden']} is not divisible by 12"
        raise ModelError(msg)
    return {ONLY: point["hidden"] ** 2}


def test_the_sizes_that_a_model_takes_are_found():
    derivation = derive(multiples_of_12, (Variable("hidden", range(64, 513), 96),))
    assert derivation.variables[0].sizes == range(72, 505, 12)
    assert total(derivation.pieces[0]) == {plain(hidden=2): 1}


def test_a_few_sizes_without_an_even_spacing_are_tried_one_by_one():
    def cost_at(point):
        if 12 % point["heads"]:
            msg = "does not divide"
            raise ModelError(msg)
        return {ONLY: 5 * point["heads"]}

    assert tuple(derive(cost_at, (Variable("heads", range(1, 13), 12),)).variables[0].sizes) == (1, 2, 3, 4, 6, 12)


def test_a_size_that_is_refused_is_named():
    with pytest.raises(DerivationError, match=r"no cost at hidden=\d+: hidden=\d+ is not divisible by 12"):
        derive(multiples_of_12, (Variable("hidden", range(65, 512, 12), 96),))


def test_patches_of_even_sizes_have_whole_coefficients():
    """Where every resolution is a multiple of 14, tokens are (R/14)² + 1."""
    variable = Variable("resolution", range(28, 449, 14), 224)
    (piece,) = derive(only(lambda resolution: 6 * ((resolution // 14) ** 2 + 1) ** 2), (variable,)).pieces
    step = CeilStep("resolution", 0, 14)
    assert piece.total == {((step, 4),): 6, ((step, 2),): 12, (): 6}


def test_where_few_sizes_are_left_all_are_measured():
    (piece,) = derive(only(lambda batch: 3 * batch), (Variable("batch", range(1, 4), 1),)).pieces
    assert total(piece) == {plain(batch=1): 3}
    assert len(piece.used) + len(piece.verified) == 3

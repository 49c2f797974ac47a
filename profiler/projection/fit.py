"""Fit a time table to measured times.

The model is linear: the time of a pass is the kernels × ``kernel_us``, plus the ideal compute and memory times of each
class, each times a factor (1 ÷ share). The factors minimise the error of the logarithm of the time, where large errors
weigh less (soft L1), and are drawn towards those of a table that is known: few measurements change little more than one
common factor, many change each class that they have work of.

Source: linear regression by kernel class, as in Y. Li et al., "Path Forward Beyond Simulators" (MICRO 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.projection.ideal_times import Ideal
from profiler.projection.time_table import TimeTable, share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

#: Terms that are no rate: the time of a kernel, and the constant of a pass.
_KERNEL, _PASS = "kernel", "pass"
#: Fewer measurements than this cannot be told from noise.
LEAST = 4
#: Standard deviation of the logarithm of a measured time ÷ estimate.
_NOISE = 0.08
#: Standard deviations of the logarithms of the common factor, of each class's own factor, of the time of a launch, and
#: of the time of a kernel. The first is by how much devices differ from a table that was fitted to another one (1.0 to
#: 1.4 times). The last is small: large batches tell nothing of it, and would make it stand for whatever else grows with
#: kernels.
_COMMON, _OWN, _OF_LAUNCH, _OF_KERNEL = 0.2, 0.4, 1.0, 0.3
#: The common factor of a start that was fitted to nothing.
_ANY = 1.0
#: Shares beyond which a rate is not plausible: a clock above the nominal one, operands still in a cache. Beyond
#: them the error grows by this factor times the logarithm. A share that was measured is plausible, and so is it times
#: the common factor of another device.
_MOST, _STIFFNESS = {"compute": 1.1, "memory": 2.0, _KERNEL: math.inf, _PASS: math.inf}, 10.0
#: Times that another device may reach a share that was measured, or a plausible one: beyond them a unit is wrong.
_MOST_FASTER = 1.5
#: Fraction of measurements outside of the range, on each side.
_TAIL = 0.05


@dataclass(frozen=True, slots=True)
class Sample:
    """A measured pass: its ideal times by class of operator, and the time that it took."""

    ideals: Mapping[str, Ideal]
    seconds: float
    name: str = ""
    #: The lower bound of the time.
    bound_s: float = 0.0
    #: The precision of the arithmetic.
    precision: str = ""

    @property
    def model(self) -> str:
        """The model: the name without the batch size."""
        return self.name.partition(",")[0]

    @property
    def kernels(self) -> int:
        """Number of kernels."""
        return sum(ideal.kernels for ideal in self.ideals.values())


def fit(samples: Sequence[Sample], start: TimeTable, *, own: float = _OWN) -> TimeTable:
    """Return the table that fits *samples* best, drawn towards *start*.

    Args:
        samples: Measured passes of one kind of device in one mode.
        start: The table to begin with. Classes without work in the samples keep its shares, times the common factor.
        own: How far a class may differ from the common factor: standard deviation of the logarithm.

    """
    import numpy as np  # noqa: PLC0415 - numpy and scipy take time to import, and only a fit needs them
    from scipy.optimize import least_squares  # type: ignore[import-untyped]  # noqa: PLC0415

    terms = [*_terms(samples), *([("", _PASS)] if start.pass_us else [])]
    rows = np.array([[_value(sample, term) for term in terms] for sample in samples])
    known = np.log([_factor(start, term) for term in terms])
    logs = np.log([sample.seconds for sample in samples])
    is_rate = np.array([rate not in {_KERNEL, _PASS} for _, rate in terms])
    spread = np.array([_OF_KERNEL if rate == _KERNEL else own for _, rate in terms])
    launches = np.array([start.launch_s * sample.kernels for sample in samples])
    waits = np.array([sum(map(start.wait_s, sample.ideals.values())) for sample in samples])

    least = np.minimum(-np.log([_MOST[rate] for _, rate in terms]), known)
    is_known = start.validation is not None

    def residuals(p: NDArray[np.float64]) -> NDArray[np.float64]:
        common, launch, own_logs = p[0], p[1], p[2:]
        factors = known + common * is_rate + own_logs
        times = np.sqrt(
            np.hypot((rows @ np.exp(factors) + waits) ** 2, (launches * np.exp(launch)) ** 2)
        )  # as `overlapped`
        faster = max(common, -math.log(_MOST_FASTER)) * is_known
        beyond = _STIFFNESS * np.maximum(least + faster - factors, 0)
        known_better = [common / (_COMMON if is_known else _ANY), launch / _OF_LAUNCH]
        return np.concatenate([(np.log(times) - logs) / _NOISE, known_better, own_logs / spread, beyond])

    common, launch, *own_logs = least_squares(residuals, np.zeros(len(terms) + 2), loss="soft_l1").x
    factors = map(float, np.exp(known + common * is_rate + own_logs))
    fitted = _table(start, dict(zip(terms, factors, strict=True)), math.exp(-common))
    return replace(fitted, launch_us=start.launch_us * math.exp(launch))


def held_out_estimates(
    samples: Sequence[Sample],
    start: TimeTable,
    folds: int = 5,
    *,
    own: float = _OWN,
    group: Callable[[Sample], str] = lambda sample: sample.model,
) -> list[float]:
    """Return the estimate of each sample by a table that was fitted to the samples of the other folds.

    Args:
        samples: The samples.
        start: The table that each fit begins with.
        folds: Number of folds.
        own: As for `fit`.
        group: What is kept in one fold: by default the samples of one model. Samples without a name are apart, and so
            are all if there are fewer groups than folds.
    """
    names = [group(sample) or str(i) for i, sample in enumerate(samples)]
    if len({*names}) < folds:
        names = [str(i) for i in range(len(samples))]
    numbers = {name: i % folds for i, name in enumerate(dict.fromkeys(names))}
    of = [numbers[name] for name in names]
    tables = {f: fit([s for s, g in zip(samples, of, strict=True) if g != f], start, own=own) for f in {*of}}
    return [tables[fold].pass_seconds(sample.ideals) for sample, fold in zip(samples, of, strict=True)]


def ratios(samples: Sequence[Sample], estimates: Sequence[float]) -> list[float]:
    """Return measured ÷ estimate of each sample."""
    return [sample.seconds / estimate for sample, estimate in zip(samples, estimates, strict=True)]


def errors(samples: Sequence[Sample], estimates: Sequence[float]) -> list[float]:
    """Return the error of each estimate: |estimate ÷ measured − 1|."""
    return [abs(1 / ratio - 1) for ratio in ratios(samples, estimates)]


def range_of(measured_over_estimate: Sequence[float]) -> tuple[float, float]:
    """Return the range that holds 90 % of the ratios, and the estimate itself.

    Example:
        >>> range_of([0.5, *[1.0] * 8, 0.9, 1.1, *[1.0] * 8, 3.0])
        (0.9, 1.1)
    """
    ordered = sorted(measured_over_estimate)
    outside = int(_TAIL * len(ordered))
    return round(min(ordered[outside], 1.0), 3), round(max(ordered[-1 - outside], 1.0), 3)


def _terms(samples: Sequence[Sample]) -> list[tuple[str, str]]:
    """Return the terms of the sum: each class and rate with work in any sample, and the kernels."""
    classes = sorted({class_ for sample in samples for class_ in sample.ideals})
    terms = [(class_, rate) for class_ in classes for rate in ("compute", "memory")]
    used = [term for term in terms if any(_value(sample, term) for sample in samples)]
    return [("", _KERNEL), *used]


def _value(sample: Sample, term: tuple[str, str]) -> float:
    class_, rate = term
    if rate == _KERNEL:
        return sample.kernels * 1e-6
    if rate == _PASS:
        return 1e-6
    ideal = sample.ideals.get(class_, Ideal())
    return ideal.compute_s if rate == "compute" else ideal.memory_s


def _factor(table: TimeTable, term: tuple[str, str]) -> float:
    class_, rate = term
    fixed = {_KERNEL: table.kernel_us, _PASS: table.pass_us}
    return fixed[rate] if rate in fixed else 1 / share(getattr(table, rate), class_)


def _table(start: TimeTable, factors: Mapping[tuple[str, str], float], common: float) -> TimeTable:
    """Return the table of fitted factors; the shares of other classes change by the *common* one."""

    def shares(rate: str) -> dict[str, float]:
        others = {class_: value * common for class_, value in getattr(start, rate).items()}
        return others | {class_: 1 / factor for (class_, r), factor in factors.items() if r == rate}

    return replace(
        start,
        kernel_us=factors["", _KERNEL],
        pass_us=factors.get(("", _PASS), 0.0),
        compute=shares("compute"),
        memory=shares("memory"),
    )

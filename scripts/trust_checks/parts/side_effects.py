"""What a count leaves behind in the model and in the process: nothing, also if the model, a hook or an operator raises.

Every public entry point runs every model. Around each call the model's tensors, gradients, flags, hooks and attributes,
and the process's generators, handlers, modes, files, children, threads and functions are compared.
"""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import Self

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

import profiler
from profiler import compat
from trust_checks.models import Case, cases
from trust_checks.outcome import Outcome
from trust_checks.snapshots import differences, model_state, own_temporary_folder, process_state

#: In a quick run, one of so many models, and all entry points.
_QUICK = 12


class Failure(Exception):  # noqa: N818 - a stand-in for any
    """What a model raises."""


class _FailsAt(TorchDispatchMode):
    """Calls *fail* at the n-th operator, and at each that follows."""

    def __init__(self, number: int, fail: Callable[[], None]) -> None:
        """Count down from *number*."""
        super().__init__()
        self.left, self.fail = number, fail

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 - torch's signature
        """Run the operator, or raise."""
        self.left -= 1
        if self.left <= 0:
            self.fail()
        return func(*args, **kwargs or {})


def _in_block(case: Case) -> None:
    with profiler.profile(case.model) as p:
        case.model(*case.args)
    str(p)


def _step(case: Case) -> None:
    profiler.count_step(case.model, *case.args)


def _step_of(name: str) -> Callable[[Case], None]:
    return lambda case: _ignore(profiler.count_step(case.model, *case.args, optimizer=name))


def _step_with_state(case: Case) -> None:
    optimizer = torch.optim.Adam([p for p in case.model.parameters() if p.requires_grad] or [torch.zeros(1)])
    profiler.count_step(case.model, *case.args, optimizer=optimizer)
    if optimizer.state:
        msg = "the optimizer has a state"
        raise AssertionError(msg)


def _count(case: Case) -> None:
    result = profiler.count(case.model, *case.args)
    with tempfile.TemporaryDirectory() as folder:
        result.save(Path(folder, "a.json"))
        profiler.load(Path(folder, "a.json"))


def _compare(case: Case) -> None:
    (row,) = profiler.compare({"it": (case.model, case.args)}).rows
    if row.error:  # a model that raises is a row
        raise profiler.errors.ModelError(row.error)


def _with_flop_counter(case: Case) -> None:
    try:
        with compat.torch.FlopCounterMode(display=False):
            case.model(*case.args)
    except (AssertionError, TypeError) as error:  # torch's own counter raises them too, for some models
        if not re.search("Expected gradient function|sym_is_contiguous", str(error)):
            raise
        msg = "torch's own counter raises too"
        raise profiler.errors.ModelError(msg) from error


def _ignore(_: object) -> None:
    """Drop a result."""


#: The public entry points that run a model, by name.
ENTRY_POINTS: dict[str, Callable[[Case], None]] = {
    "profile": _in_block,
    "count": _count,
    "count_step": _step,
    "count_step, sgd": _step_of("sgd"),
    "count_step, adamw": _step_of("adamw"),
    "count_step, an optimizer": _step_with_state,
    "measure": lambda case: _ignore(profiler.measure(case.model, *case.args, runs=1, warm=1)),
    "compare": _compare,
    "project": lambda case: _ignore(profiler.project(profiler.count(case.model, *case.args), "l4")),
    "compat.thop": lambda case: _ignore(compat.thop.profile(case.model, case.args, verbose=False)),
    "compat.fvcore": lambda case: _ignore(compat.fvcore.FlopCountAnalysis(case.model, case.args).total()),
    "compat.ptflops": lambda case: _ignore(
        compat.ptflops.get_model_complexity_info(
            case.model, (1,), input_constructor=lambda _: case.args[0], print_per_layer_stat=False, verbose=False
        )
    ),
    "compat.torch": _with_flop_counter,
}
#: Those whose block runs the user's own call, so that its effects on the model stay.
_OWN_CALLS = frozenset({"profile", "compat.torch"})


def run(*, quick: bool, seed: int) -> Outcome:
    """Run every entry point on every model, as it is and with each fault."""
    with own_temporary_folder():
        return _run(quick=quick, seed=seed)


def _run(*, quick: bool, seed: int) -> Outcome:
    builders = cases()
    for entry in ENTRY_POINTS.values():  # what is imported or cached at the first call is no side effect
        for name in ("linear", "draws"):
            _call(entry, builders[name](), nullcontext())
    lost, tried = [], 0
    chosen = list(builders)[seed % _QUICK :: _QUICK] if quick else list(builders)
    for model in chosen:
        for name in ENTRY_POINTS:
            for fault in FAULTS:
                wrong = attempt(builders[model], name, fault, Random(f"{seed} {model} {name} {fault}"))  # noqa: S311
                lost += [f"{name}, {model}, {fault}: {wrong}"] if wrong else []
                tried += 1
    what = (
        f"calls of {len(ENTRY_POINTS)} entry points on {len(chosen)} models, with {len(FAULTS) - 1} faults and without"
    )
    return Outcome(tried, what, tuple(lost))


def attempt(build: Callable[[], Case], name: str, fault: str, random: Random) -> str:
    """Call an entry point on a model with a fault; return what was changed, or what went wrong."""
    own = name in _OWN_CALLS
    after_own_call = _after_own_call(build()) if own and fault == _NONE else None
    case = build()
    planned = FAULTS[fault](case, random)
    torch.manual_seed(0)
    model, process = model_state(case.model), process_state()
    error = _call(ENTRY_POINTS[name], case, planned)
    changed = differences(process, process_state())
    if own:
        changed = [each for each in changed if each != "generators"]
    else:
        changed += differences(model, model_state(case.model))
    if after_own_call is not None and error is None and _held(case.model) != after_own_call:
        changed.append("what the user's own call does")
    return ", ".join([*changed, *_unexpected(error, planned)])


def _unexpected(error: BaseException | None, planned: Raised) -> list[str]:
    """Return what is wrong with what a call raised: another error than the planned one, or none."""
    raised = planned.raised
    if raised is not None and error is None:
        return [f"it hid {raised!r}"]
    expected = isinstance(error, profiler.errors.ProfilerError) or raised in _chain(error)
    return [] if error is None or expected else [f"it raised {error!r:.200}"]


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return an error with its causes."""
    return [error, *_chain(error.__cause__ or error.__context__)] if error is not None else []


def _after_own_call(case: Case) -> object:
    """Return what the model and the generators hold after the user's own call, without a count."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case.model(*case.args)
    return _held(case.model)


def _held(model: nn.Module) -> object:
    tensors = {name: str(value) for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    return torch.get_rng_state().tolist(), tensors


def _call(entry: Callable[[Case], None], case: Case, planned: AbstractContextManager[object]) -> BaseException | None:
    """Call an entry point; return what it raised, without the frames that hold what it worked on."""
    out = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(out):
        warnings.simplefilter("ignore")
        try:
            with planned:
                entry(case)
        except BaseException as error:  # noqa: BLE001 - that is what is tried
            return error.with_traceback(None)
    return None


class Raised:
    """A fault: a block in which an error is raised somewhere, and whether it was."""

    def __init__(self, error: BaseException | None = None) -> None:
        """Plan to raise *error*."""
        self.error, self.raised = error, None

    def fail(self, *_arguments: object, **_more: object) -> None:
        """Raise the error."""
        if self.error is not None:
            self.raised = self.error
            raise self.error

    def __enter__(self) -> Self:
        """Begin the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""


class OperatorRaises(Raised):
    """The n-th operator raises."""

    def __init__(self, error: BaseException, number: int) -> None:
        """Plan to raise at the *number*-th."""
        super().__init__(error)
        self.mode = _FailsAt(number, self.fail)

    def __enter__(self) -> Self:
        """Begin the block."""
        self.mode.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self.mode.__exit__(*error)


class HookRaises(Raised):
    """A hook of the user's raises: before a module's forward, or at the gradient of a parameter."""

    def __init__(self, error: BaseException, register: Callable[..., RemovableHandle]) -> None:
        """Plan to *register* the hook."""
        super().__init__(error)
        self.register = register

    def __enter__(self) -> Self:
        """Register the hook."""
        self.handle = self.register(self.fail)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.handle.remove()


class ForwardRaises(Raised):
    """The forward of a module raises."""

    def __init__(self, error: BaseException, module: nn.Module) -> None:
        """Plan to replace the forward of *module*."""
        super().__init__(error)
        self.module = module

    def __enter__(self) -> Self:
        """Replace it."""
        self.module.forward = self.fail
        return self

    def __exit__(self, *_: object) -> None:
        """Put it back."""
        del self.module.forward


def _any_module(case: Case, random: Random) -> nn.Module:
    return random.choice(list(case.model.modules()))


def _gradient_raises(case: Case, random: Random) -> Raised:
    trained = [p for p in case.model.parameters() if p.requires_grad and not nn.parameter.is_lazy(p)]
    return HookRaises(Failure("a backward"), random.choice(trained).register_hook) if trained else Raised()


_NONE = "no fault"
#: What goes wrong, by name.
FAULTS: dict[str, Callable[[Case, Random], Raised]] = {
    _NONE: lambda _case, _random: Raised(),
    "a module raises": lambda case, random: ForwardRaises(Failure("a module"), _any_module(case, random)),
    "a hook raises": lambda case, random: HookRaises(
        Failure("a hook"), _any_module(case, random).register_forward_pre_hook
    ),
    "a hook after it raises": lambda case, random: HookRaises(
        Failure("a hook"), _any_module(case, random).register_forward_hook
    ),
    "a backward raises": _gradient_raises,
    "out of memory": lambda _, random: OperatorRaises(MemoryError(), random.randint(1, 40)),
    "out of the device's memory": lambda _, random: OperatorRaises(
        torch.OutOfMemoryError("CUDA"), random.randint(1, 40)
    ),
    "interrupted in an operator": lambda _, random: OperatorRaises(KeyboardInterrupt(), random.randint(1, 40)),
    "exit in an operator": lambda _, random: OperatorRaises(SystemExit(3), random.randint(1, 40)),
}

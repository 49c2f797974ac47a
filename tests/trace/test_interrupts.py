"""An interrupt at any line of the package, while it counts, leaves the process and the model as they were."""

from __future__ import annotations

import random
import signal
import sys
import threading
import warnings

import pytest
import torch
from torch import nn
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks
from torch.utils import _python_dispatch
from trust_checks.interrupts import interrupted_at, lines_of

import profiler
from profiler.util.interrupts import interruptible, uninterrupted

X = torch.ones(3, 4)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


def process() -> dict[str, object]:
    """Return what a run may leave behind in the process, by torch's and Python's own words."""
    return {
        "hooks": (len(module_hooks._global_forward_hooks), len(module_hooks._global_forward_pre_hooks)),
        "steps": len(optimizer_hooks._global_optimizer_pre_hooks) + len(optimizer_hooks._global_optimizer_post_hooks),
        "modes": len(_python_dispatch._get_current_dispatch_mode_stack()),
        "in mode": _python_dispatch._is_in_torch_dispatch_mode,
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "filters": len(warnings.filters),
        "stance": torch._dynamo.eval_frame._stance if "torch._dynamo" in sys.modules else None,
        "recursion": sys.getrecursionlimit(),
        "handlers": (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)),
        "random": (random.getstate(), torch.get_rng_state().tolist()),
    }


def held(model: nn.Module) -> dict[str, object]:
    values = {name: value.tolist() for name, value in model.state_dict().items()}
    return values | {
        f"{name}.grad": None if p.grad is None else p.grad.tolist() for name, p in model.named_parameters()
    }


def profiled(model: nn.Module) -> None:
    with profiler.profile(model):
        pass


def counted(model: nn.Module) -> None:
    profiler.count(model, X)


def stepped(model: nn.Module) -> None:
    profiler.count_step(model, X, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))


#: Every so manieth line; more of them take minutes.
STEPS = [(profiled, 3), (counted, 41), (stepped, 131)]
EVERY = [(profiled, 1), (counted, 11), (stepped, 37)]


@pytest.mark.parametrize(("run", "step"), [*STEPS, *(pytest.param(*every, marks=pytest.mark.slow) for every in EVERY)])
def test_an_interrupt_at_any_line_leaves_nothing(run, step):
    model = small()
    run(model)
    before, values = process(), held(model)
    line, lost = 1, 0
    while ended := interrupted_at(line, lambda: run(model)):
        lost += ended == "lost"
        assert process() == before, f"line {line}"
        assert held(model) == values, f"line {line}"
        line += step
    assert line > 100
    assert lost <= 1


def as_thop(model: nn.Module) -> None:
    profiler.compat.thop.profile(model, (X,), verbose=False)


def as_ptflops(model: nn.Module) -> None:
    inputs = {"input_constructor": lambda _: {"input": X}, "print_per_layer_stat": False}
    profiler.compat.ptflops.get_model_complexity_info(model, (4,), **inputs)


@pytest.mark.parametrize("run", [as_thop, as_ptflops])
def test_an_interrupt_while_modes_are_changed_or_restored_leaves_none(run):
    model = small().train()
    run(model)
    lines = lines_of(lambda: run(model))
    for line in (*range(1, 120, 2), *range(lines - 150, lines, 2)):
        interrupted_at(line, lambda: run(model))
        assert all(module.training for module in model.modules()), f"line {line}"


def as_fvcore(model: nn.Module) -> None:
    profiler.compat.fvcore.FlopCountAnalysis(model, X).total()


def as_flop_counter(model: nn.Module) -> None:
    with profiler.compat.torch.FlopCounterMode(display=False):
        pass


@pytest.mark.parametrize(("run", "lines"), [(as_flop_counter, range(1, 400)), (as_fvcore, range(1200, 3000, 7))])
def test_an_interrupt_of_a_replacement_leaves_no_hook(run, lines):
    model = small().train()
    for _ in range(2):
        run(model)
    before = process()
    for line in lines:
        interrupted_at(line, lambda: run(model))
        assert process() == before, f"line {line}"


def test_a_handler_of_another_signal_that_raises_waits_too():
    def raises(*_args):
        raise TimeoutError

    model, previous = small(), signal.signal(signal.SIGALRM, raises)
    expected = (TimeoutError, profiler.errors.ProfilerError)
    try:
        stepped(model)
        before, values, line, lost = process(), held(model), 1, 0
        while ended := interrupted_at(line, lambda: stepped(model), signal.SIGALRM, expected):
            lost += ended == "lost"
            assert process() == before, f"line {line}"
            assert held(model) == values, f"line {line}"
            line += 149
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert line > 100
    assert lost <= 1


def test_a_handler_set_in_the_block_stays():
    previous = signal.getsignal(signal.SIGINT)
    try:
        with profiler.profile():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_an_interrupt_of_the_users_code_is_raised_there():
    reached = []
    with pytest.raises(KeyboardInterrupt), profiler.profile():  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            reached.append("before the end of the block")
    assert reached


def test_an_interrupt_at_the_end_of_the_users_code_leaves_nothing_that_waits():
    before, reached = process(), []

    def run():
        with uninterrupted(), uninterrupted(), interruptible():
            reached.append(sys._getframe().f_lineno - 1)

    def trace(frame, event, _argument):
        if event == "line" and reached and frame.f_lineno == reached[0]:  # the line of the block again: before its exit
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return trace if frame.f_code is run.__code__ else None

    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        sys.settrace(None)
    assert process() == before
    with pytest.raises(KeyboardInterrupt), profiler.profile():  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            reached.append("at once")
    assert reached[-1] == "at once"


def test_other_threads_profile_without_a_handler_of_signals():
    model = small().eval()
    before, results = process(), []
    thread = threading.Thread(target=lambda: results.append(profiler.count(model, X).totals.macs))
    thread.start()
    thread.join()
    assert results == [3 * (16 + 8)]
    assert process() == before

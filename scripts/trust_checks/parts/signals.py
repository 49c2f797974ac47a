"""Ctrl-C and SIGTERM at any line of the package: the model and the process are as before.

Signals are sent at a line that is drawn, not at a moment: the same in every run.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import torch

from trust_checks.commands import run_command
from trust_checks.interrupts import interrupted_at, lines_of
from trust_checks.models import Case, cases
from trust_checks.outcome import Outcome
from trust_checks.parts.side_effects import ENTRY_POINTS
from trust_checks.snapshots import differences, model_state, own_temporary_folder, process_state

#: How often a call is interrupted, and a command is ended; and the share of a quick run.
_INTERRUPTS, _ENDS, _QUICK = 500, 100, 12
#: Exit statuses of a command that was asked to end, and of one that had ended before.
_TERMINATED, _DONE = 143, 0
_MODELS = (
    "linear",
    "draws",
    "checkpoints",
    "hooks",
    "batch norm",
    "lstm",
    "encoder",
    "spectral norm",
    "embedding",
)
_COMMANDS = (
    ("nets.py:net", "--input", "8", "--output", "out.txt"),
    (
        "nets.py:net",
        "--input",
        "8",
        "--batch",
        "2",
        "--train",
        "--on",
        "l4",
        "--format",
        "html",
        "--output",
        "out.html",
    ),
    ("check", "budgets.toml", "--update"),
    ("diff", "nets.py:net", "nets.py:net", "--input", "8"),
)
_NETS = "from torch import nn\ndef net(): return nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4)).eval()\n"
_BUDGETS = '[[budget]]\ntarget = "nets.py:net"\ninput = "8"\nmacs = "+0 %"\n'


def run(*, quick: bool, seed: int) -> Outcome:
    """Interrupt calls, and end commands."""
    random = Random(f"signals {seed}")  # noqa: S311 - no secret
    interrupts, ends = (_INTERRUPTS // _QUICK, _ENDS // _QUICK) if quick else (_INTERRUPTS, _ENDS)
    with own_temporary_folder(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lost = [*_interrupt_calls(random, interrupts), *_end_commands(random, ends)]
    return Outcome(interrupts + ends, f"signals at random lines: {interrupts} Ctrl-C, {ends} SIGTERM", tuple(lost))


def _interrupt_calls(random: Random, times: int) -> list[str]:
    builders, lost = cases(), []
    lines: dict[tuple[str, str], int] = {}
    for _ in range(times):
        name, model = random.choice(list(ENTRY_POINTS)), random.choice(_MODELS)
        if (name, model) not in lines:
            lines[name, model] = _lines(ENTRY_POINTS[name], builders[model])
        line = random.randint(1, lines[name, model])
        wrong = interrupt(name, builders[model](), line)
        lost += [f"{name}, {model}, line {line}: {wrong}"] if wrong else []
    return lost


def _lines(entry: Callable[[Case], None], build: Callable[[], Case]) -> int:
    """Return the lines of a call; of the second one: the first one imports, and fills caches."""
    entry(build())
    case = build()
    return lines_of(lambda: entry(case))


def interrupt(name: str, case: Case, line: int) -> str:
    """Interrupt a call at a line; return what was changed."""
    torch.manual_seed(0)
    own = name in {"profile", "compat.torch"}
    before, process = model_state(case.model), process_state()
    ended = interrupted_at(line, lambda: ENTRY_POINTS[name](case))
    changed = differences(process, process_state())
    if own:  # the user's own call draws, and changes the model
        changed = [each for each in changed if each != "generators"]
        changed += [each for each in before if _hooks(before[each]) != _hooks(model_state(case.model)[each])]
    else:
        changed += differences(before, model_state(case.model))
    return f"{', '.join(changed)} ({ended})" if changed else ""


def _hooks(module: object) -> object:
    return module[-1] if isinstance(module, tuple) else None


def _end_commands(random: Random, times: int) -> list[str]:
    with TemporaryDirectory() as name, chdir(name):
        Path("nets.py").write_text(_NETS, encoding="utf-8")
        Path("budgets.toml").write_text(_BUDGETS, encoding="utf-8")
        lines = []
        for words in _COMMANDS:
            run_command(*words)
            lines.append(lines_of(lambda words=words: run_command(*words)))  # type: ignore[misc]
        drawn = [random.randrange(len(_COMMANDS)) for _ in range(times)]
        ends = [(_COMMANDS[at], random.randint(1, lines[at])) for at in drawn]
        return [f"{words[0]}, line {line}: {wrong}" for words, line in ends if (wrong := end(words, line))]


def end(words: tuple[str, ...], line: int) -> str:
    """Send SIGTERM to a command at a line; return what went wrong."""
    files, process = _contents(), process_state()
    ran = []
    interrupted_at(line, lambda: ran.append(run_command(*words)), signal.SIGTERM, ())
    changed = differences(process, process_state())
    if changed:
        return f"it changed {', '.join(changed)}"
    status, err = ran[0].status, ran[0].err
    if status not in {_TERMINATED, _DONE} or "Traceback" in err:
        return f"status {status}: {err[-200:]!r}"
    left = [name for name, content in _contents().items() if name not in files or not content]
    return f"it left {left}" if left else ""


def _contents() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }

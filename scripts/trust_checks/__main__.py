"""Run the parts, each in a process of its own, and print a line for each."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from trust_checks import parts
from trust_checks.outcome import lines

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = tuple(sorted(module.name for module in iter_modules(parts.__path__)))


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts that are named, or all; return 1 if something was lost."""
    parser = _parser()
    options = parser.parse_args(words)
    share = {name: value for name in ("only", "numbers") if (value := getattr(options, name)) is not None}
    if share and len(options.parts) != 1:
        parser.error("--only and --numbers take one part")
    if len(options.parts) == 1:
        if wrong := _refusal(options.parts[0], share):
            parser.error(wrong)
        return run_part(options.parts[0], quick=options.quick, seed=options.seed, **share)
    print(f"seed {options.seed}", flush=True)
    return max(_run_apart(name, quick=options.quick, seed=options.seed) for name in options.parts or NAMES)


def run_part(name: str, *, quick: bool, seed: int, **share: object) -> int:
    """Run one part, or a share of it, in this process, print its lines, and return 1 if something was lost."""
    start = time.monotonic()
    outcome = _part(name).run(quick=quick, seed=seed, **share)
    print("\n".join(lines(name, outcome, time.monotonic() - start)), flush=True)
    return int(bool(outcome.lost))


def _part(name: str) -> Any:
    return import_module(f"{parts.__name__}.{name}")


def _refusal(name: str, share: dict[str, object]) -> str | None:
    """Return why a part cannot run this share of it, or None."""
    part = _part(name)
    for option in share:
        if option not in signature(part.run).parameters:
            return f"{name} has no --{option}"
    if (only := share.get("only")) is not None and only not in part.SECTIONS:
        return f"{name} has no {only!r}, only {', '.join(map(repr, part.SECTIONS))}"
    return None


def _run_apart(name: str, *, quick: bool, seed: int) -> int:
    """Run one part in a process of its own; a part that crashes has lost something."""
    command = [sys.executable, "-m", "trust_checks", name, "--seed", str(seed), *(["--quick"] if quick else [])]
    status = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}).returncode
    if status not in {0, 1}:
        print(f"{name}: ended with status {status}", flush=True)
    return int(status != 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/trust", description="Try to break the package on purpose.")
    parser.add_argument("parts", nargs="*", choices=[*NAMES, []], metavar="PART", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a small share of each part")
    parser.add_argument("--seed", type=_seed, default=0, help="a number, or 'fresh' for a new one; 0 by default")
    parser.add_argument("--only", metavar="NAME", help="of models an oracle, of files a kind, of load a check, alone")
    parser.add_argument(
        "--numbers", type=_numbers, metavar="FIRST-LAST", help="of models or files, those with these numbers: 457-999"
    )
    return parser


def _numbers(word: str) -> range:
    first, _, last = word.partition("-")
    numbers = range(int(first), int(last or first) + 1)
    if not numbers:
        raise ValueError(word)
    return numbers


def _seed(word: str) -> int:
    return secrets.randbelow(2**31) if word == "fresh" else int(word)


if __name__ == "__main__":
    sys.exit(main())

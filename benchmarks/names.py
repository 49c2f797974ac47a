"""How many names answer: every model of timm, and configuration types of transformers, each counted on ``meta``.

    python benchmarks/names.py --timm 1371 --hf 150 --journal names.jsonl --page docs/names.md

Each model runs in a forked process of its own, with a limit of time and of memory. The journal gets a line as soon as
a model is done, and a second run goes on after the last line. transformers' types are default configurations with as
few layers as have every kind of layer, so that the sample is of kinds of models, not of sizes. A sample that is smaller
than the whole is random, with a fixed seed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_SEED = 0
#: What configurations call a number of layers.
_LAYERS = {
    "num_hidden_layers", "encoder_layers", "decoder_layers", "num_layers", "num_decoder_layers", "num_encoder_layers",
    "n_layer", "n_layers", "decoder_num_hidden_layers", "encoder_num_hidden_layers", "depth",
}  # fmt: skip
_PACKAGES = ("torch", "timm", "transformers")


def main() -> None:
    """Count the samples, and print how many answer; every name that does not, with its reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timm", type=int, default=200, help="how many of timm's models")
    parser.add_argument("--hf", type=int, default=150, help="how many of transformers' configuration types")
    parser.add_argument("--seconds", type=int, default=120, help="limit of time of each model")
    parser.add_argument("--gigabytes", type=float, default=8, help="limit of memory of each model")
    parser.add_argument("--nice", type=int, default=0, help="lower the priority by this much")
    parser.add_argument("--journal", type=Path, default=Path("names.jsonl"), help="where the answers are kept")
    parser.add_argument("--page", type=Path, help="a page of Markdown to write")
    parser.add_argument("--no-run", action="store_true", help="count nothing: write the page of what the journal has")
    options = parser.parse_args()
    os.nice(options.nice)
    with tempfile.TemporaryDirectory() as folder:
        samples = {"hf": _hf_names(options.hf, Path(folder)), "timm": _timm_names(options.timm)}
        rows = _read(options.journal)
        if not options.no_run:
            _run(samples, rows, options)
    chosen = {source: [rows.get(label) for label in names] for source, names in samples.items()}
    sys.stdout.write(page(chosen))
    if options.page is not None:
        options.page.write_text(page(chosen))


def _run(samples: dict[str, dict[str, str]], rows: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Count every name that has no row yet."""
    _count("squeezenet1_1")  # imports, once, what every process needs
    for label, target in (pair for names in samples.values() for pair in names.items()):
        if label not in rows:
            rows[label] = _answer(label, target, options.seconds, int(options.gigabytes * 2**30))
            _append(options.journal, rows[label])


def _timm_names(count: int) -> dict[str, str]:
    """Return the name of each model, which is its target too."""
    import timm

    names = timm.list_models()
    chosen = sorted(random.Random(_SEED).sample(names, min(count, len(names))))  # noqa: S311
    return {f"timm:{name}": f"timm:{name}" for name in chosen}


def _hf_names(count: int, folder: Path) -> dict[str, str]:
    """Return each type as ``hf:TYPE`` with its target, a configuration file."""
    from transformers import CONFIG_MAPPING

    types = sorted(CONFIG_MAPPING)
    chosen = sorted(random.Random(_SEED).sample(types, min(count, len(types))))  # noqa: S311
    for model_type in chosen:
        (folder / f"{model_type}.json").write_text(json.dumps(_shrunk(model_type)))
    return {f"hf:{model_type}": f"hf:{folder / model_type}.json" for model_type in chosen}


def _shrunk(model_type: str) -> dict[str, Any]:
    """Return the configuration of a type with as few layers as have every kind of layer; the default if none has."""
    from transformers import CONFIG_MAPPING

    config_class = CONFIG_MAPPING[model_type]
    for layers in (1, 2, 4, 8):
        with suppress(Exception):
            default = config_class()
            content = {"model_type": model_type} | _with_layers(default.to_dict(), layers)
            if _kinds(config_class.from_dict(content)) == _kinds(default):
                return content
    return {"model_type": model_type}


def _kinds(config: Any) -> set[str]:
    """Return the kinds of layers of a configuration and of its text's."""
    holders = (config, getattr(config, "text_config", None))
    lists = (getattr(holder, name, None) for holder in holders for name in ("layer_types", "layers_block_type"))
    return {kind for kinds in lists if isinstance(kinds, (list, tuple)) for kind in kinds}


def _with_layers(configuration: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the numbers of layers in a configuration and its parts, each set to *count*."""
    if "depths" in configuration:  # stages, each with its own width: their number follows from these lists
        return {}
    layers: dict[str, Any] = {
        key: count for key, value in configuration.items() if key in _LAYERS and type(value) is int
    }
    for key, part in configuration.items():
        if isinstance(part, dict) and part.get("model_type") and (inner := _with_layers(part, count)):
            layers[key] = {"model_type": part["model_type"]} | inner
    return layers


def _answer(label: str, target: str, seconds: int, limit: int) -> dict[str, Any]:
    """Return the row of a name, counted in a forked process."""
    begin = time.monotonic()
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        _count_and_exit(target, write_end, limit)
    os.close(write_end)
    text = _read_until(read_end, begin + seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    row = json.loads(text) if text else {"reason": _without_answer(begin, seconds)}
    return {"name": label, "seconds": round(time.monotonic() - begin, 1)} | row


def _without_answer(begin: float, seconds: int) -> str:
    late = time.monotonic() - begin >= seconds
    return f"no answer in {seconds} s" if late else "its process ended without an answer"


def _read_until(end: int, deadline: float) -> str:
    """Return what is written to a pipe until it closes; "" if it is still open at the deadline."""
    parts = []
    with os.fdopen(end, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = pipe.read(2**16)
            if not part:
                return b"".join(parts).decode()
            parts.append(part)
    return ""


def _count_and_exit(target: str, write_end: int, limit: int) -> None:
    """Write the row of a target to a pipe, and end the process."""
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
            row = _count(target)
        os.write(write_end, json.dumps(row).encode())
    finally:
        os._exit(0)


def _count(target: str) -> dict[str, Any]:
    from profiler.errors import ProfilerError, one_line
    from profiler.run.count_target import count_target

    notes: list[str] = []
    try:
        profile = count_target(target, notify=notes.append)
    except (ProfilerError, MemoryError) as error:
        return {"reason": one_line(error) if isinstance(error, MemoryError) else str(error), "notes": notes}
    except BaseException as error:  # noqa: BLE001 - a traceback is a finding
        return {"reason": f"traceback: {one_line(error)}", "notes": notes}
    uncounted = ", ".join(row.operator for row in profile.uncounted)
    figures = {"macs": profile.totals.macs, "params": profile.totals.params, "device": profile.device}
    return {"reason": f"uncounted: {uncounted}" if uncounted else "", "notes": notes, **figures}


def _read(journal: Path) -> dict[str, dict[str, Any]]:
    if not journal.exists():
        return {}
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    return {row["name"]: row for row in rows}


def _append(journal: Path, row: dict[str, Any]) -> None:
    with journal.open("a") as file:
        file.write(json.dumps(row) + "\n")


def page(samples: dict[str, list[dict[str, Any] | None]]) -> str:
    """Return the page: how many answer, and every name that does not with its reason; None is a name not tried yet."""
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    about = (
        f"`benchmarks/names.py` on {datetime.now(UTC):%d %B %Y}, with {versions}. A name answers if `profiler NAME` "
        "counts its default input on `meta` (or, where a model reads values, on the CPU), with every operator counted."
    )
    lines = ["# Names that answer", "", about, "", "| names | | tried | answer | of these on the CPU | do not |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    tried = {source: [row for row in rows if row is not None] for source, rows in samples.items()}
    for source, rows in tried.items():
        answers = [row for row in rows if not row["reason"]]
        on_cpu = sum(row["device"] == "cpu" for row in answers)
        numbers = (len(samples[source]), len(rows), len(answers), on_cpu, len(rows) - len(answers))
        lines.append(f"| {_TITLES[source]} | {' | '.join(map(str, numbers))} |")
    for source, rows in tried.items():
        failed = [row for row in rows if row["reason"]]
        if failed:
            lines += ["", f"## {_TITLES[source]}: what does not answer", "", "| name | reason |", "|---|---|"]
            lines += [f"| `{row['name']}` | {_cell(row['reason'])} |" for row in failed]
    return "\n".join(lines) + "\n"


_TITLES = {"timm": "models of timm", "hf": "configuration types of transformers, few layers"}


def _cell(reason: str) -> str:
    """Return a reason as a cell of a table, without the folder of the configuration."""
    words = (Path(word).stem if "/tmp" in word else word for word in reason.split())  # noqa: S108
    return " ".join(words).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()

"""``profiler help [SUBJECT]``: the commands, or the options of the default command on one subject."""

from __future__ import annotations

from typing import Literal

import profiler.cli as package
from profiler.cli.app import app
from profiler.cli.subjects import HELP, QUESTIONS, SUBJECTS, examples, showing
from profiler.util.autoload import import_all

Subject = Literal["model", "training", "peers", "device", "distributed", "output"]
OVERVIEW = examples("profiler resnet18", "profiler hf:gpt2 --input 128 --train --optimizer adamw --on l4")
#: Two commands for each subject.
EXAMPLES: dict[Subject, str] = {
    "model": examples("profiler resnet18 --batch 8 --input 3x160x160", "profiler hf:bert-base --input input_ids=1x64"),
    "training": examples(
        "profiler resnet18 --train --optimizer adamw",
        "profiler hf:gpt2 --train --optimizer adamw --savings",
    ),
    "peers": examples("profiler resnet18 --against fvcore,thop", "profiler resnet18 --against ptflops --strict"),
    "device": examples(
        "profiler resnet18 --on l4 --fps 30", "profiler resnet18 --on l4,rtx-4090 --precision int8 --mode deployed"
    ),
    "distributed": examples(
        "profiler resnet18 --world 8 --mesh dp=8 --ddp --train",
        "profiler hf:gpt2 --input 64 --world 4 --mesh dp=4 --fsdp --rank 0",
    ),
    "output": examples("profiler resnet18 --depth 3", "profiler resnet18 --format html --output resnet18.html"),
}


@app.command(name="help", group=HELP, help_epilogue=examples("profiler help", "profiler help training"))
def show_help(subject: Subject | None = None, /) -> None:
    """Show the options of `profiler TARGET` on one subject.

    Args:
        subject: The subject; without one, the commands are shown.
    """
    import_all(package)
    app.help_epilogue = _overview() if subject is None else EXAMPLES[subject]
    with showing(QUESTIONS if subject is None else [SUBJECTS[subject]]):
        app.help_print([])


def _overview() -> str:
    """Return the names of the default command's options, by subject, and two examples."""
    arguments = [*app.assemble_argument_collection(), *app.meta.assemble_argument_collection()]
    names = {
        subject: [argument.name for argument in arguments if group in argument.parameter.group and argument.show]
        for subject, group in SUBJECTS.items()
    }
    lines = (f"* `profiler help {subject}` {' '.join(options)}" for subject, options in names.items())
    return "Options of `profiler TARGET`, by subject:\n\n" + "\n".join(lines) + "\n\n" + OVERVIEW

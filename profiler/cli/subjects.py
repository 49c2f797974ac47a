"""The groups of the help: commands by the question that they answer, options by their subject.

The default command has far more options than a screen has lines. So ``profiler --help`` shows the commands, and the
names of these options by subject; ``profiler help SUBJECT`` shows the options of a subject.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from cyclopts import Group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: The groups that the help shows now; None for all.
_SHOWN: ContextVar[tuple[Group, ...] | None] = ContextVar("shown", default=None)


class HelpGroup(Group):
    """A group of commands or options that only some pages of the help show."""

    @property
    def show(self) -> bool:
        """Whether the page that is being written shows this group."""
        shown = _SHOWN.get()
        return shown is None or self in shown


COUNT = HelpGroup("Count", sort_key=1)
EXPLAIN = HelpGroup("Explain", sort_key=2)
PLAN = HelpGroup("Plan", sort_key=3)
GUARD = HelpGroup("Guard", sort_key=4)
CATALOGUES = HelpGroup("Catalogues", sort_key=5)
HELP = HelpGroup("Help", sort_key=6)
QUESTIONS = (COUNT, EXPLAIN, PLAN, GUARD, CATALOGUES, HELP)

MODEL = HelpGroup("Model", sort_key=11)
TRAINING = HelpGroup("Training", sort_key=12)
PEERS = HelpGroup("Peers", sort_key=13)
DEVICE = HelpGroup("Device", sort_key=14)
DISTRIBUTED = HelpGroup("Distributed", sort_key=15)
OUTPUT = HelpGroup("Output", sort_key=16)
#: The subjects of the options, by the name that ``profiler help`` takes.
SUBJECTS = {group.name.lower(): group for group in (MODEL, TRAINING, PEERS, DEVICE, DISTRIBUTED, OUTPUT)}


@contextmanager
def showing(groups: Sequence[Group]) -> Iterator[None]:
    """Show only these groups in the help that the block prints."""
    token = _SHOWN.set(tuple(groups))
    try:
        yield
    finally:
        _SHOWN.reset(token)


def examples(*commands: str) -> str:
    r"""Return the end of a command's help, in Markdown.

    Example:
        >>> examples("profiler resnet18")
        'Examples:\n\n* `profiler resnet18`'
    """
    return "Examples:\n\n" + "\n".join(f"* `{command}`" for command in commands)

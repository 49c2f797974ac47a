"""The options ``--against`` and ``--strict``: compare with other counters, on the same model built again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.cli.subjects import PEERS
from profiler.errors import CheckFailedError
from profiler.values.findings import TOTAL, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.peers.runner import ModelFactory
    from profiler.tally import Profile

    Notify = Callable[[str], None]


_AGAINST = "Other FLOP counters to compare with: `all` installed ones, or names such as `fvcore,thop`."
_STRICT = (
    "Exit with status 1 if a peer failed or a difference is unexplained; with --on, if the device cannot sustain the "
    "rate or hold the model."
)


@Parameter(name="*", group=PEERS)
@dataclass(frozen=True, slots=True)
class PeerOptions:
    """Which counters to compare with, and whether an unexplained difference fails the command."""

    against: Annotated[str | None, Parameter(help=_AGAINST)] = None
    strict: Annotated[bool, Parameter(help=_STRICT)] = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the selected peers.

        Raises:
            UnknownNameError: There is no such peer.
        """
        if self.against is None:
            return ()
        from profiler.reconcile import select_peers

        return select_peers(word.strip() for word in self.against.split(","))

    def device(self, device: str, notify: Notify) -> str:
        """Return the device to run on: peers need real values, so that "auto" becomes the CPU if any is selected."""
        if not self.names or device != "auto":
            return device
        notify("peers need real values; running on the CPU")
        return "cpu"

    def add_findings(self, profile: Profile, make: ModelFactory, notify: Notify) -> Profile:
        """Run the peers on the model that *make* returns, and add the findings to the profile."""
        if not self.names:
            return profile
        from profiler.reconcile import count_and_compare
        from profiler.run.forward import count

        finished: list[str] = []

        def on_answer(name: str) -> None:
            finished.append(name)
            notify(f"{name} finished, {len(finished)} of {len(self.names)}")

        return replace(profile, findings=count_and_compare(self.names, make, count, on_answer))

    def check_findings(self, profile: Profile) -> None:
        """With --strict, raise if a peer failed or a difference is unexplained.

        Raises:
            CheckFailedError: A peer failed, or a difference is unexplained.
        """
        peers = [f for f in profile.findings if not f.claim.id]
        open_findings = [f for f in peers if f.verdict in {Verdict.FAILED, Verdict.UNEXPLAINED}]
        if self.strict and open_findings:
            what = ", ".join(dict.fromkeys(map(_describe, open_findings[:4])))
            msg = f"--strict: {len(open_findings)} of {len(peers)} findings failed or are unexplained ({what})"
            raise CheckFailedError(msg)


NO_PEERS = PeerOptions()


def _describe(finding: Finding) -> str:
    place = "" if finding.claim.subject == TOTAL else f" at {finding.claim.subject}"
    return f"{finding.claim.source}{place} {finding.verdict}"

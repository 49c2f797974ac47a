"""The options ``--against`` and ``--strict``: other counters beside ours, on the same model built anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.errors import CheckFailedError
from profiler.reconcile import compare_with_peers, count_with_facts, select_peers
from profiler.run.forward import count
from profiler.values.findings import TOTAL, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.peers.runner import Make
    from profiler.tally import Profile

    Say = Callable[[str], None]


_AGAINST = "Other counters to explain: `all` that are installed, or names such as `fvcore,thop`."
_STRICT = (
    "Exit with status 1 where a peer failed or a difference is unexplained; with --on, where the device cannot do "
    "what is demanded."
)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class PeerOptions:
    """Which counters to hold our count against, and whether a difference without a cause is a failure."""

    against: Annotated[str | None, Parameter(help=_AGAINST)] = None
    strict: Annotated[bool, Parameter(help=_STRICT)] = False

    @property
    def names(self) -> tuple[str, ...]:
        """The peers that are asked for.

        Raises:
            UnknownNameError: There is none of a name.
        """
        return select_peers(word.strip() for word in self.against.split(",")) if self.against is not None else ()

    def device(self, asked: str, say: Say) -> str:
        """Choose the device: peers need real values, so "auto" is the CPU where there are any."""
        if not self.names or asked != "auto":
            return asked
        say("peers need real values; running on the CPU")
        return "cpu"

    def add_findings(self, profile: Profile, make: Make, say: Say) -> Profile:
        """Ask the peers about a forward pass of what *make* gives, and put what is found into the profile."""
        if not self.names:
            return profile
        seen, facts = count_with_facts(*make(), count)
        answered: list[str] = []

        def tell(name: str) -> None:
            answered.append(name)
            say(f"{name} has answered, {len(answered)} of {len(self.names)}")

        return replace(profile, findings=compare_with_peers(self.names, make, seen, facts, tell))

    def judge(self, profile: Profile) -> None:
        """Fail where --strict is given and something is left open.

        Raises:
            CheckFailedError: A peer failed, or a difference is unexplained.
        """
        peers = [f for f in profile.findings if not f.claim.id]
        wrong = [f for f in peers if f.verdict in {Verdict.FAILED, Verdict.UNEXPLAINED}]
        if self.strict and wrong:
            what = ", ".join(dict.fromkeys(map(_describe, wrong[:4])))
            msg = f"--strict: {len(wrong)} of {len(peers)} findings are left open ({what})"
            raise CheckFailedError(msg)


NO_PEERS = PeerOptions()


def _describe(finding: Finding) -> str:
    place = "" if finding.claim.subject == TOTAL else f" at {finding.claim.subject}"
    return f"{finding.claim.source}{place} {finding.verdict}"

"""The options ``--against`` and ``--strict``: compare with other counters and with documents."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.cli.name_lists import split_names
from profiler.cli.subjects import PEERS
from profiler.errors import CheckFailedError, InputError
from profiler.values.findings import TOTAL, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from profiler.cli.output import Bar
    from profiler.peers import WorkerPool
    from profiler.peers.runner import ModelFactory
    from profiler.tally import Profile

    Notify = Callable[[str], None]


#: The library that a model comes from, by the prefix of its name; any other is imported when the model is known.
_LIBRARIES = {"": "torchvision", "torchvision": "torchvision", "timm": "timm", "hf": "transformers.modeling_utils"}
_DOCUMENTS, ALL = "documents", "all"
_AGAINST = (
    "Compare with what others claim: FLOP counters, such as `fvcore,thop`, `documents`, or `all` that are installed."
)
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
        counters = [word for word in self.words if word != _DOCUMENTS]
        if not counters:
            return ()
        from profiler.peers import select_peers

        return select_peers(counters)

    @property
    def words(self) -> tuple[str, ...]:
        """The names as they were written."""
        return tuple(split_names(self.against)) if self.against is not None else ()

    def check_for_several_models(self) -> None:
        """Raise an ``InputError`` for documents, whose claims a table of several models does not show."""
        if _DOCUMENTS in self.words:
            msg = "--against documents shows the claims about one model; write `profiler TARGET --against documents`"
            raise InputError(msg)

    def add_documents(self, profile: Profile, target: str, notify: Notify, *, is_default: bool) -> Profile:
        """Add the findings about documents' claims, if they are asked for and this pass is the one that they mean.

        Args:
            profile: The profile of *target*.
            target: The model, as on the command line.
            notify: Takes a note about claims that need another run.
            is_default: Whether it is a forward pass with the default input.
        """
        asked = _DOCUMENTS in self.words
        if not asked and (ALL not in self.words or not is_default):
            return profile
        from profiler.documents.target_claims import claims_about
        from profiler.verify import findings_about

        findings = findings_about(target, profile) if is_default else ()
        settled = {(finding.claim.source, finding.claim.id) for finding in findings}
        others = [claim.id for document, claim in claims_about(target) if (document.id, claim.id) not in settled]
        if asked and not findings:
            notify(f"no document has a claim about {target} that this run settles")
        if asked and others:
            notify(f"other claims about {target}: profiler verify --claim {','.join(others)}")
        return replace(profile, findings=(*profile.findings, *findings))

    def device(self, device: str, notify: Notify) -> str:
        """Return the device to run on: peers need real values, so that "auto" becomes the CPU if any is selected."""
        if not self.names or device != "auto":
            return device
        notify("peers need real values; running on the CPU")
        return "cpu"

    def pool(self, *targets: str) -> AbstractContextManager[WorkerPool | None]:
        """Return a context manager that starts the processes of the peers, which import what *targets* need meanwhile.

        Enter it before torch is imported: then both processes import at the same time. It is empty if no peer is
        selected.
        """
        if not self.names:
            return nullcontext()
        from profiler.peers import WorkerPool

        prefixes = [prefix if colon else "" for prefix, colon, _ in (target.partition(":") for target in targets)]
        libraries = dict.fromkeys(_LIBRARIES[prefix] for prefix in prefixes if prefix in _LIBRARIES)
        return WorkerPool(["torch", *libraries, "profiler.targets"])

    def add_findings(self, profile: Profile, make: ModelFactory, bar: Bar, pool: WorkerPool | None) -> Profile:
        """Run the peers on the model that *make* returns, and add the findings to the profile.

        The bar advances with each answer.
        """
        if not self.names:
            return profile
        from profiler.reconcile import count_and_compare
        from profiler.run.forward import count

        return replace(profile, findings=count_and_compare(self.names, make, count, bar.advance, pool))

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

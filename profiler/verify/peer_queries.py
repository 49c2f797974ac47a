"""What other counters say of the models that claims are about: each question is put once, to all of them together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from profiler.peers import PeerFailure, PeerResult, PickledModel, peers, run_peers
from profiler.verify.models import Key, key_of, make

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profiler.derive import Point
    from profiler.documents import DocumentClaim, MeasureSpec

    #: By their questions.
    Answers = Mapping[Key, PeerResult | PeerFailure]


def query_peers(claims: Iterable[DocumentClaim]) -> Answers:
    """Ask what claims want to know of models of one size; what varies is asked for when its size is known."""
    fixed = (f for claim in claims for f in claim.figures if not any(".." in str(v) for v in f.variables.values()))
    return ask((m for figure in fixed for m in figure.measures.values() if m.peer in peers()), {})


def ask(measures: Iterable[MeasureSpec], point: Point) -> Answers:
    """Let peers count the models of measures at a setting: on the CPU, where every peer can."""
    asked = {query_key(measure, point): measure for measure in measures}
    with ExitStack() as stack:
        subjects = [
            (m.peer or "", stack.enter_context(PickledModel(partial(make, replace(m, peer=None), dict(point)))))
            for m in asked.values()
        ]
        answers = dict(run_peers(subjects))
    return {key: answers[number] for number, key in enumerate(asked)}


def query_key(measure: MeasureSpec, point: Point) -> Key:
    """Say what makes one question differ from another."""
    return (*key_of(measure, point), measure.peer)

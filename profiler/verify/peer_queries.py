"""Run other counters on the models that claims are about; equal queries run once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from profiler.peers import PeerFailure, PeerResult, PickledModel, all_peers, run_peers
from profiler.util.permissions import with_permissions
from profiler.verify.models import Key, make_model, run_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profiler.derive import Point
    from profiler.documents import DocumentClaim, MeasureSpec
    from profiler.peers import WorkerPool
    from profiler.peers.runner import ModelFactory

    #: The results of peers by `query_key`.
    PeerAnswers = Mapping[Key, PeerResult | PeerFailure]


def query_peers(claims: Iterable[DocumentClaim], pool: WorkerPool | None = None) -> PeerAnswers:
    """Run the peers that claims quote, on models of fixed size; varied sizes are queried when they are known."""
    figures = [f for claim in claims for f in claim.figures if not any(".." in str(v) for v in f.variables.values())]
    return query_measures(
        (m for figure in figures for m in figure.measures.values() if m.peer in all_peers()), {}, pool
    )


def query_measures(measures: Iterable[MeasureSpec], point: Point, pool: WorkerPool | None = None) -> PeerAnswers:
    """Run the peers of measures at one setting, on the CPU: some peers cannot run on meta."""
    queries = {query_key(measure, point): measure for measure in measures}
    with ExitStack() as stack:
        subjects = [(m.peer or "", stack.enter_context(PickledModel(_factory(m, point)))) for m in queries.values()]
        answers = dict(run_peers(subjects, pool=pool))
    return {key: answers[index] for index, key in enumerate(queries)}


def _factory(measure: MeasureSpec, point: Point) -> ModelFactory:
    return with_permissions(partial(make_model, replace(measure, peer=None), dict(point)))


def query_key(measure: MeasureSpec, point: Point) -> Key:
    """Return what identifies a query of a peer."""
    return (*run_key(measure, point), measure.peer)

"""Trees of modules deeper than Python's calls can nest, and modules that hold themselves."""

from __future__ import annotations

import copy
import csv
import json
import pickle
import sys
from contextlib import contextmanager
from io import StringIO

import pytest
import torch
from torch import nn

import profiler
from profiler.compat import fvcore, thop
from profiler.peers import LiveModel
from profiler.peers.runner import PickledModel
from profiler.report import PROFILE_FORMATS, render
from profiler.trace.module_paths import walk

X = torch.ones(1, 4)


class Deep(nn.Module):
    """Calls the leaf at the end of a long chain of modules, which is never called itself."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        leaf = module = nn.Linear(4, 4)
        for _ in range(depth):
            holder = nn.Module()
            holder.child, module = module, holder
        self.chain = module
        object.__setattr__(self, "leaf", leaf)

    def forward(self, x):
        return self.leaf(x)


def nested(depth: int) -> nn.Module:
    module: nn.Module = nn.Linear(4, 4)
    for _ in range(depth):
        module = nn.Sequential(module)
    return module


@contextmanager
def recursion_limit(limit: int):
    previous = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(previous)


@pytest.mark.parametrize("depth", [200, 1100])
def test_a_deep_tree_is_counted_and_reported_whole(depth, tmp_path):
    model = Deep(depth)
    p = profiler.count(model, X)
    path = ".".join(["chain", *["child"] * depth])
    assert p.totals.macs == p.nodes[path].own.macs == p.tree.total.macs == 16
    assert (p.totals.params, len(p.modules)) == (20, depth + 2)
    texts = {name: render(p, name, depth=depth + 2) for name in PROFILE_FORMATS.names()}
    rows = list(csv.DictReader(StringIO(texts["csv"])))
    assert [row["path"] for row in rows][-1] == path
    assert len(json.loads(texts["json"])["modules"]) == depth + 2
    assert all(len(texts[name].splitlines()) > depth for name in ("text", "csv", "json", "markdown"))
    p.save(tmp_path / "deep.json")
    assert profiler.load(tmp_path / "deep.json") == pickle.loads(pickle.dumps(p)) == copy.deepcopy(p) == p
    assert (p + p).totals.macs == 32


def test_a_deep_training_step_is_counted():
    model = Deep(1500)
    p = profiler.count_step(model, X, optimizer=torch.optim.SGD(model.leaf.parameters()))
    assert p.phases["backward"].macs == 16


def test_a_model_nested_as_deeply_as_python_allows_runs_under_a_profile_too():
    x, model = X, nested(1)
    with recursion_limit(500), torch.no_grad():
        depth = 1
        while True:  # the deepest model that runs by itself
            try:
                nested(depth + 5)(x)
            except RecursionError:
                break
            depth += 5
        model = nested(depth)
        assert profiler.count(model, x).totals.macs == 16
        with profiler.profile(model) as p:
            model(x)
        assert p.totals.macs == 16
        assert sys.getrecursionlimit() == 500


def test_numbered_siblings_are_one_line_at_every_depth():
    def block() -> nn.Module:
        return nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))

    p = profiler.count(nn.Sequential(block(), block(), block()), X)
    text = render(p, "text", depth=9)
    assert "0–2" in text
    assert text.count("Linear") == 1
    assert "Linear ×2" in text


class Cyclic(nn.Module):
    """Holds itself, and is held by its child."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.own = self
        self.child = nn.Module()
        self.child.parent = self

    def forward(self, x):
        return self.linear(x)


def test_a_module_that_holds_itself_counts_once():
    model = Cyclic()
    p = profiler.count(model, X)
    assert [m.path for m in p.modules] == ["", "linear", "child"]
    assert (p.totals.macs, p.totals.params) == (16, 20)
    step = profiler.count_step(model, X, optimizer=torch.optim.SGD(model.parameters()))
    assert step.phases["optimizer"].params == 0
    with_modules = set(PROFILE_FORMATS.names()) - {"communication-csv"}
    assert all("linear" in render(p, name, depth=5) for name in with_modules)


@pytest.mark.slow
def test_a_peer_that_fails_on_a_module_that_holds_itself_says_so_in_one_line():
    model = Cyclic()
    with profiler.profile(model) as p:
        model(X)
    finding = next(f for f in p.compare("thop") if f.claim.subject == "total")
    assert finding.verdict.value == "failed"
    assert "RecursionError" in str(render(p.result, "text", depth=1))


def test_a_deep_model_can_be_sent_to_a_peer():
    """On Python 3.12 C code cannot recurse more deeply than by default, which is enough for 200 modules."""
    depth = 200 if sys.version_info[:2] == (3, 12) else 1000
    with PickledModel(LiveModel(nested(depth), (X,), {})) as pickled:
        copied = pickle.loads(pickled.path.read_bytes())()[0]
    assert sum(1 for _ in walk(copied)) == depth + 1


@pytest.mark.slow
def test_a_peer_counts_a_deep_model():
    model = nested(150).eval()
    with profiler.profile(model) as p:
        model(X)
    finding = next(f for f in p.compare("ptflops") if f.claim.subject == "total")
    assert finding.verdict.value in {"agrees", "explained"}


def test_other_interfaces_accept_both():
    for model in (Cyclic(), nested(150)):
        assert thop.profile(model, (X,))[0] == 16
        assert fvcore.FlopCountAnalysis(model, (X,)).total() == 16

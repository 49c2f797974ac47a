"""Functions that arrive as several operators: everything that they and their gradients run is counted."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils.parametrizations import weight_norm

import profiler

IMAGE, ROWS = (2, 6, 8, 8), (4, 3)
LABELS = torch.tensor([0, 2, 1, 1])

FUNCTIONS = {
    "instance norm": (IMAGE, lambda x: F.instance_norm(x, use_input_stats=True)),
    "local response norm": (IMAGE, lambda x: F.local_response_norm(x, 3)),
    "rms norm": (ROWS, lambda x: F.rms_norm(x, (3,))),
    "normalize": (ROWS, F.normalize),
    "weight norm": (ROWS, weight_norm(torch.nn.Linear(3, 2))),
    "lp pool": (IMAGE, lambda x: F.lp_pool2d(x, 2, 2)),
    "max unpool": (IMAGE, lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
    "area": (IMAGE, lambda x: F.interpolate(x, scale_factor=0.5, mode="area")),
    "circular padding": (IMAGE, lambda x: F.pad(x, (1, 1, 2, 0), mode="circular")),
    "reflection padding": (IMAGE, lambda x: F.pad(x, (1, 1, 2, 0), mode="reflect")),
    "unfold and fold": (IMAGE, lambda x: F.fold(F.unfold(x, 2), (8, 8), 2)),
    "affine grid": ((2, 2, 3), lambda x: F.affine_grid(x, (2, 1, 4, 4), align_corners=False)),
    "sparse embedding": (ROWS, lambda x: F.embedding(LABELS, x, sparse=True)),
    "short-time transform": (
        (2, 64),
        lambda x: torch.stft(x, 16, window=torch.hann_window(16), return_complex=True).abs(),
    ),
    "cosine similarity": (ROWS, lambda x: F.cosine_similarity(x, torch.ones(3))),
    "pairwise distance": (ROWS, lambda x: F.pairwise_distance(x, torch.ones(3))),
    "l1": (ROWS, lambda x: F.l1_loss(x, torch.ones(ROWS))),
    "cross-entropy": (ROWS, lambda x: F.cross_entropy(x, LABELS, torch.ones(3), label_smoothing=0.1)),
    "divergence": (ROWS, lambda x: F.kl_div(x.log_softmax(1), torch.full(ROWS, 1 / 3), reduction="batchmean")),
    "poisson": (ROWS, lambda x: F.poisson_nll_loss(x, torch.ones(ROWS))),
    "gaussian": (ROWS, lambda x: F.gaussian_nll_loss(x, torch.ones(ROWS), torch.ones(ROWS))),
    "triplet": (ROWS, lambda x: F.triplet_margin_loss(x, torch.ones(ROWS), torch.zeros(ROWS))),
    "cosine embedding": (ROWS, lambda x: F.cosine_embedding_loss(x, torch.ones(ROWS), torch.ones(4))),
    "several labels": (ROWS, lambda x: F.multilabel_soft_margin_loss(x, torch.ones(ROWS))),
    "connectionist": ((6, 1, 3), lambda x: F.ctc_loss(x.log_softmax(2), torch.tensor([[1, 2]]), (6,), (2,))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_everything_that_runs_is_counted(name):
    shape, function = FUNCTIONS[name]
    x = torch.randn(shape, requires_grad=True)
    with profiler.profile() as p:
        function(x).sum().backward()
    assert p.uncounted == ()
    assert p.totals.other_flops > 0

"""Live memory, compared with closed forms, with torch's allocator, and with torch's own memory tracker."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest
import torch
from allocations import peaks
from torch import nn
from torch.utils.checkpoint import checkpoint

import profiler
from profiler.trace import recorder
from profiler.trace.live_storages import LiveStorages

F4 = 4  # bytes of a float32


def net():
    return nn.Sequential(nn.Linear(10, 20, bias=False), nn.ReLU(), nn.Linear(20, 5, bias=False))


def peak_bytes(p):
    """Return the categories that are not zero at the peak."""
    return {category: size for category, size in p.totals.peak_memory.items() if size}


PARAMS, INPUT = F4 * (200 + 100), F4 * 30


def test_a_forward_pass_holds_its_parameters_its_input_and_two_results_in_turn():
    model, x = net(), torch.ones(3, 10)
    p = profiler.count(model, x)
    # while ReLU runs: its operand and its result
    assert peak_bytes(p) == {
        "parameter": PARAMS, "input": INPUT, "temporary": F4 * 2 * 60, "total": PARAMS + INPUT + F4 * 120,
    }  # fmt: skip
    assert (p.memory.peak.module, p.memory.peak.operator) == ("1", "aten.relu.default")


def test_a_view_and_an_operator_in_place_add_nothing():
    with profiler.profile() as p:
        x = torch.zeros(8, 8)
        x.view(64).t().add_(1)
        x[2:].mul_(2)
    assert p.totals.peak_memory["total"] == F4 * 64


def test_a_freed_temporary_makes_room_for_the_next():
    with profiler.profile() as p:
        for _ in range(5):
            torch.zeros(100)
    assert p.totals.peak_memory["total"] == F4 * 100


def test_a_storage_that_grows_is_counted_at_its_size():
    with profiler.profile() as p:
        x = torch.zeros(4)
        x.resize_(100)
    assert p.totals.peak_memory["total"] == F4 * 100


def test_a_storage_that_shrinks_frees_its_bytes():
    """A storage shrinks from 400 bytes to 40, then another of 400 is allocated: 440 are live at the end, 400 before."""
    with profiler.profile(nn.Identity()) as p:
        x = torch.empty(100)
        x.untyped_storage().resize_(F4 * 10)
        x.set_(x.untyped_storage(), 0, (10,))
        x.add_(1)
        y = torch.empty(100)
    assert p.memory.peak.total == F4 * 110
    assert y.numel() == 100


def test_tied_parameters_are_one_storage():
    model = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    model[1].weight = model[0].weight
    assert profiler.count(model, torch.ones(1, 6)).totals.peak_memory["parameter"] == F4 * 36


def test_what_was_made_before_is_an_input():
    model, mask = net(), torch.ones(3, 5)
    with profiler.profile(model) as p:
        model(torch.ones(3, 10)) * mask
    assert p.totals.peak_memory["input"] >= F4 * 15


def test_a_step_holds_gradients_and_states():
    model, x = net(), torch.ones(3, 10)
    optimizer = torch.optim.Adam(model.parameters(), foreach=False)
    with profiler.profile(model) as p:
        model(x).sum().backward()
        optimizer.step()
    peak = p.totals.peak_memory
    steps = F4 * 2  # a counter of steps for each parameter
    assert (peak["parameter"], peak["gradient"], peak["input"]) == (PARAMS, PARAMS, INPUT)
    assert peak["optimizer_state"] in {2 * PARAMS + steps, 2 * F4 * 200 + F4 * 100 + steps}
    assert p.memory.peak.phase == "optimizer"
    assert p.phases["backward"].peak_memory["optimizer_state"] == 0


def test_gradients_that_are_dropped_at_once_were_gradients():
    model, x = net(), torch.ones(3, 10)
    with profiler.profile(model) as p:
        model(x).sum().backward()
        model.zero_grad()
    assert p.phases["backward"].peak_memory["gradient"] == PARAMS


def test_what_a_forward_pass_leaves_for_backward_is_an_activation_of_its_module():
    model, x = net(), torch.ones(3, 10)
    with profiler.profile(model) as p:
        model(x).sum().backward()
    # of the first two layers only ReLU's result is saved; the sum saves no operand, but its result is still live,
    # as is the gradient with which the backward pass begins
    assert {m: n for m, n in p.memory.activations.items() if n} == {"1": F4 * 60, "(outside)": 2 * F4}


def test_activations_are_those_of_the_larger_of_two_steps():
    """ReLU saves its result of 20 columns for each row: 6 rows in one step and 3 in the other, in either order."""
    for rows in ((6, 3), (3, 6)):
        model = net()
        with profiler.profile(model) as p:
            for n in rows:
                model(torch.ones(n, 10)).sum().backward()
        assert p.memory.activations["1"] == F4 * 6 * 20


def test_without_gradients_there_are_no_activations():
    p = profiler.count(net(), torch.ones(3, 10))
    assert p.memory.activations == {}
    assert p.totals.peak_memory["activation"] == 0


def test_a_checkpoint_keeps_its_input_alone():
    block = nn.Sequential(nn.Linear(8, 64), nn.GELU(), nn.Linear(64, 8))
    x = torch.ones(16, 8, requires_grad=True)
    saved = {}
    for wrapped in (False, True):
        with profiler.profile(block) as p:
            y = checkpoint(block, x, use_reentrant=False) if wrapped else block(x)
            y.sum().backward()
        saved[wrapped] = sum(p.memory.activations.values())
    assert saved[True] == F4 * 16 * 8 + 2 * F4  # its output, which is still live, the sum, and the first gradient
    assert saved[False] == saved[True] + 2 * F4 * 16 * 64


def test_meta_and_the_cpu_hold_the_same():
    peaks_by_device = []
    for device in ("cpu", "meta"):
        model = net().to(device)
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
        with profiler.profile(model) as p:
            model(torch.ones(3, 10, device=device)).sum().backward()
            optimizer.step()
        peaks_by_device.append(p.totals.peak_memory)
    # the step counters stay on the CPU, where foreach groups its lists differently from meta
    assert peaks_by_device[0] == peaks_by_device[1]


@pytest.mark.parametrize("training", [False, True])
def test_a_batch_norm_holds_the_same_on_meta(training):
    """In evaluation mode the batch statistics are empty on the CPU, but meta allocates them."""
    peaks_by_device = []
    for device in ("cpu", "meta"):
        model = nn.Sequential(nn.BatchNorm1d(500), nn.ReLU()).train(training).to(device)
        p = profiler.count(model, torch.ones(2, 500, device=device))
        peaks_by_device.append((p.totals.peak_memory, p.memory.peak.operator))
    assert peaks_by_device[0] == peaks_by_device[1]


def test_a_thousand_steps_need_no_more_than_one():
    model, x = net(), torch.ones(3, 10)
    totals, moments = set(), 0
    for steps in (3, 1000):
        with profiler.profile(copy.deepcopy(model)) as p:
            for _ in range(steps):
                p._session.model(x)
        totals.add(p.totals.peak_memory["total"])
        moments = len(p.memory.timeline)
    assert len(totals) == 1
    assert moments <= 256 + 1


def test_without_a_model_too_old_events_are_forgotten(monkeypatch):
    monkeypatch.setattr(LiveStorages.trim, "__defaults__", (100,))
    monkeypatch.setattr(recorder, "MAX_WAITING", 50)
    with profiler.profile() as p:
        for _ in range(1000):
            torch.zeros(10)
        storages = p._session._storages.storages
        assert len(storages.events) + len(storages.earlier_events) <= 100 + 2 * 50
        assert len(storages.live) <= 50
    assert p.totals.peak_memory["total"] == F4 * 10
    assert sum(row.calls for row in p.operators) == 1000


def test_what_comes_from_outside_later_is_an_input_too():
    """NumPy arrays of 10, 20 and 15 numbers of 8 bytes, each perhaps at the address of the last, and their sums."""
    with profiler.profile() as p:
        for length in (10, 20, 15):
            torch.from_numpy(np.zeros(length)).sum()
    assert peak_bytes(p) == {"input": 8 * 20, "temporary": 8, "total": 8 * 20 + 8}


def test_what_is_copied_from_outside_is_an_input_too():
    outside = torch.ones(10)
    with profiler.profile() as p:
        torch.empty(10).copy_(outside)
    assert peak_bytes(p) == {"input": F4 * 10, "temporary": F4 * 10, "total": 2 * F4 * 10}


def test_nothing_of_ours_outlives_the_block():
    model, x = net(), torch.ones(3, 10)
    with profiler.profile(model) as p:
        model(x)
    gc.collect()
    assert not p._session._storages.storages.live
    with p:
        model(x)
    assert p.totals.peak_memory["parameter"] == PARAMS


def test_the_timeline_of_a_short_run_has_its_start_and_every_allocation():
    with profiler.profile() as p:
        held = [torch.zeros(n) for n in (10, 20)]
        held.pop()
        held.append(torch.zeros(5))
    assert [moment.total for moment in p.memory.timeline] == [0, F4 * 10, F4 * 30, F4 * 15]


def test_the_timeline_never_exceeds_the_peak_and_reaches_it():
    model, x = net(), torch.ones(3, 10)
    with profiler.profile(model) as p:
        for _ in range(300):
            model(x).sum().backward()
    assert max(moment.total for moment in p.memory.timeline) == p.memory.peak.total
    assert [m.at for m in p.memory.timeline] == sorted(m.at for m in p.memory.timeline)
    for moment in p.memory.timeline:
        assert sum(size for category, size in moment.bytes.items() if category != "total") == moment.total


def test_activations_of_a_gpt_block_are_those_of_korthikanti_et_al():
    """A layer saves sbh(34 + 5as/h) bytes in a 16-bit dtype, as in arXiv:2205.05198, section 4.

    The 34 are 11 in attention (norm's result 2, queries and keys 4, values 2, projection's input 2, a mask 1), 19 in
    the MLP (norm's result 2, GELU's input 8, second layer's input 8, a mask 1) and 4 in the norms (their inputs). The
    5as/h are, for each score, the softmax's result 2, a mask 1 and the dropout's result 2.
    """
    s, b, h, a = 16, 2, 32, 4

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(h), nn.LayerNorm(h)
            self.qkv, self.out = nn.Linear(h, 3 * h), nn.Linear(h, h)
            self.up, self.down = nn.Linear(h, 4 * h), nn.Linear(4 * h, h)
            self.drop = nn.Dropout(0.1)

        def forward(self, x):
            q, k, v = (t.view(b, s, a, h // a).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(h, -1))
            scores = self.drop((q @ k.transpose(-2, -1) * (h // a) ** -0.5).softmax(-1))
            x = x + self.drop(self.out((scores @ v).transpose(1, 2).reshape(b, s, h)))
            return x + self.drop(self.down(nn.functional.gelu(self.up(self.norm2(x)))))

    activations = []
    for layers in (1, 2):
        model = nn.Sequential(*(Block() for _ in range(layers))).to(torch.bfloat16)
        with profiler.profile(model) as p:
            model(torch.zeros(b, s, h, dtype=torch.bfloat16)).sum().backward()
        activations.append(sum(p.memory.activations.values()))
    formula = s * b * h * 34 + 5 * a * s * s * b
    masks = 2 * s * b * h + a * s * s * b  # on the CPU a dropout mask has the dtype of its operand, not one byte
    statistics = 2 * 2 * 2 * s * b  # mean and deviation of each token, in each of two norms
    assert activations[1] - activations[0] == formula + masks + statistics


def _train(model, x):
    model(x).sum().backward()


def _infer(model, x):
    with torch.no_grad():
        model(x)


SOME = ["resnet18", "mobilenet_v3_small"]
MORE = [
    "alexnet", "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5", "regnet_y_400mf", "shufflenet_v2_x0_5",
    "squeezenet1_0", "swin_t", "vit_b_16",
]  # fmt: skip


@pytest.mark.parametrize("name", SOME + [pytest.param(name, marks=pytest.mark.slow) for name in MORE])
@pytest.mark.parametrize("step", [_infer, _train])
def test_the_peak_is_what_the_allocator_saw_less_the_kernels_workspaces(name, step):
    models = pytest.importorskip("torchvision").models
    model = models.get_model(name, init_weights=False) if name == "googlenet" else models.get_model(name)
    model.train(step is _train)
    if name == "googlenet":
        model.aux_logits, model.aux1, model.aux2 = False, None, None
    x, twin = torch.randn(2, 3, 224, 224), copy.deepcopy(model)
    with profiler.profile(model) as p:
        step(model, x)
    resident = sum(t.nbytes for t in [*twin.parameters(), *twin.buffers()]) + x.nbytes
    operators = {entry.record.packet.replace(".", "::") for entry in p.entries}
    _, allocated = peaks(lambda: step(twin, x), operators)
    ours, theirs = p.memory.peak.total, allocated + resident
    if step is _infer:
        assert ours == theirs
    else:  # under a dispatch mode autograd accumulates gradients out of place, and otherwise in place
        assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("name", SOME + [pytest.param(name, marks=pytest.mark.slow) for name in ["vit_b_16", "swin_t"]])
@pytest.mark.filterwarnings("ignore")
def test_the_categories_are_those_of_torchs_tracker(name):
    tracker = pytest.importorskip("torch.distributed._tools.mem_tracker")
    models = pytest.importorskip("torchvision").models
    x, twins = torch.randn(2, 3, 224, 224), [models.get_model(name) for _ in range(2)]
    first, second = (torch.optim.AdamW(twin.parameters(), foreach=False) for twin in twins)
    with profiler.profile(twins[0]) as p:
        _train(twins[0], x)
        first.step()
    theirs = tracker.MemTracker()
    theirs.track_external(twins[1], second, x)
    with theirs:
        _train(twins[1], x)
        second.step()
    peak = theirs.get_tracker_snapshot("peak")[torch.device("cpu")]
    tracked = {getattr(kind, "name", kind): size for kind, size in peak.items()}
    ours = p.totals.peak_memory
    assert ours["parameter"] == tracked["PARAM"]
    assert ours["buffer"] == tracked["BUFFER"]
    assert ours["gradient"] == tracked["GRAD"]
    assert ours["input"] == tracked["OTH"]
    # what an optimizer allocates and frees within its step is a state to the tracker, temporary to us; a few scalars
    # differ
    assert ours["optimizer_state"] + ours["temporary"] + ours["activation"] == pytest.approx(
        tracked["OPT"] + tracked["TEMP"] + tracked["ACT"], abs=64
    )


def test_what_autocast_converts_for_an_operator_is_live_while_it_runs():
    """``cat`` promotes a bfloat16 result to float32: the copy lives as long as the call, and is no workspace of it."""
    layer, x = nn.Linear(7, 7), torch.randn(256, 7)

    def step():
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            torch.cat([x, layer(x)], 1)

    with profiler.profile(layer) as p:
        step()
    operators = {entry.record.packet.replace(".", "::") for entry in p.entries}
    held = sum(t.nbytes for t in [*layer.parameters(), x])
    assert p.memory.peak.total == peaks(step, operators)[1] + held

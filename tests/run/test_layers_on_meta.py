"""Every layer of ``torch.nn`` costs on ``meta`` what it costs on the CPU, in a forward pass and in training.

Compared are MACs, FLOPs, transcendentals, parameters, bytes read and written, and peak memory. What differs is in
``DEPARTURES``, with its cause.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler

IMAGE = (2, 4, 9, 8)
LINE = (2, 4, 10)
VOLUME = (2, 4, 5, 6, 5)
ROWS = (3, 8)
SEQUENCE = (2, 5, 8)


class Against(nn.Module):
    """A loss against zeros."""

    def __init__(self, loss, dtype=None, shape=None) -> None:
        super().__init__()
        self.loss, self.dtype, self.shape = loss, dtype, shape

    def forward(self, x):
        return self.loss(x, torch.zeros(self.shape or x.shape, dtype=self.dtype, device=x.device))


class Indexed(nn.Module):
    """A layer that takes indices, and scales what it makes of them by the mean of the input."""

    def __init__(self, layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(torch.zeros(3, 5, dtype=torch.int64, device=x.device)) * x.mean()


#: A layer, and the shapes of its inputs.
LAYERS = {
    "Linear": (lambda: nn.Linear(8, 4), ROWS),
    "Bilinear": (lambda: nn.Bilinear(8, 8, 3), ROWS, ROWS),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1), LINE),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2, groups=2), IMAGE),
    "Conv3d": (lambda: nn.Conv3d(4, 6, 3, dilation=2), VOLUME),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 3), LINE),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), IMAGE),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(4, 6, 3), VOLUME),
    "Unfold": (lambda: nn.Unfold(3), IMAGE),
    "Fold": (lambda: nn.Fold((4, 4), 2), (2, 16, 9)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), LINE),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), IMAGE),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), VOLUME),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), LINE),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), IMAGE),
    "AvgPool3d": (lambda: nn.AvgPool3d(2), VOLUME),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), IMAGE),
    "FractionalMaxPool2d": (lambda: nn.FractionalMaxPool2d(2, output_size=3), IMAGE),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(3), IMAGE),
    "AdaptiveAvgPool2d to one": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(3), IMAGE),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), LINE),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(2), VOLUME),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(2), IMAGE),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d(2), IMAGE),
    "ZeroPad2d": (lambda: nn.ZeroPad2d(2), IMAGE),
    "CircularPad2d": (lambda: nn.CircularPad2d(2), IMAGE),
    "ConstantPad1d": (lambda: nn.ConstantPad1d(2, 3.5), LINE),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), LINE),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(4), VOLUME),
    "LayerNorm": (lambda: nn.LayerNorm(8), SEQUENCE),
    "RMSNorm": (lambda: nn.RMSNorm(8), SEQUENCE),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), IMAGE),
    "RNN": (lambda: nn.RNN(8, 6), SEQUENCE),
    "LSTM": (lambda: nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True), SEQUENCE),
    "GRU": (lambda: nn.GRU(8, 6), SEQUENCE),
    "RNNCell": (lambda: nn.RNNCell(8, 6), ROWS),
    "LSTMCell": (lambda: nn.LSTMCell(8, 6), ROWS),
    "GRUCell": (lambda: nn.GRUCell(8, 6), ROWS),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), SEQUENCE, SEQUENCE, SEQUENCE),
    "MultiheadAttention with dropout": (
        lambda: nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True), SEQUENCE, SEQUENCE, SEQUENCE,
    ),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, 0, batch_first=True), SEQUENCE),
    "TransformerEncoderLayer with dropout": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), SEQUENCE),
    "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(8, 2, 16, 0, batch_first=True), SEQUENCE, SEQUENCE),
    "Transformer": (lambda: nn.Transformer(8, 2, 1, 1, 16, 0, batch_first=True), SEQUENCE, SEQUENCE),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (2, 4, 8, 8)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), IMAGE),
    "Upsample nearest": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "Upsample bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "Upsample bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), IMAGE),
    "Upsample trilinear": (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), VOLUME),
    "Dropout": (lambda: nn.Dropout(0.5), ROWS),
    "Dropout2d": (lambda: nn.Dropout2d(0.5), IMAGE),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.5), ROWS),
    "CosineSimilarity": (nn.CosineSimilarity, ROWS, ROWS),
    "PairwiseDistance": (nn.PairwiseDistance, ROWS, ROWS),
    "MSELoss": (nn.MSELoss, ROWS, ROWS),
    "L1Loss": (nn.L1Loss, ROWS, ROWS),
    "SmoothL1Loss": (nn.SmoothL1Loss, ROWS, ROWS),
    "HuberLoss": (nn.HuberLoss, ROWS, ROWS),
    "CrossEntropyLoss": (nn.CrossEntropyLoss, ROWS, ROWS),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean"), ROWS, ROWS),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, ROWS, ROWS),
    "BCELoss": (lambda: nn.Sequential(nn.Sigmoid(), Against(nn.BCELoss())), ROWS),
    "SoftMarginLoss": (lambda: Against(nn.SoftMarginLoss()), ROWS),
    "NLLLoss": (lambda: Against(nn.NLLLoss(), torch.int64, (3,)), ROWS),
    "Embedding": (lambda: Indexed(nn.Embedding(10, 4)), ROWS),
    "EmbeddingBag": (lambda: Indexed(nn.EmbeddingBag(10, 4)), ROWS),
    "Softmax": (lambda: nn.Softmax(1), ROWS),
    "LogSoftmax": (lambda: nn.LogSoftmax(1), ROWS),
    "Softmin": (lambda: nn.Softmin(1), ROWS),
    **{
        kind: (getattr(nn, kind), ROWS)
        for kind in (
            "ReLU ReLU6 ELU SELU CELU GELU SiLU Mish Hardswish Hardsigmoid Hardtanh Hardshrink Softshrink Tanhshrink "
            "LeakyReLU PReLU RReLU LogSigmoid Sigmoid Softplus Softsign Tanh GLU"
        ).split()
    },
}  # fmt: skip


def figures(name, device, *, train):
    """Return the figures of a layer behind one that has a weight, so that its input has a gradient."""
    make, *shapes = LAYERS[name]
    torch.manual_seed(0)
    with torch.device(device):
        layer, inputs = make().train(train), [torch.ones(shape) for shape in shapes]
        scales = nn.ParameterList(torch.ones(shape) for shape in shapes)
    model = nn.ModuleList([layer, scales])

    def run():
        result = layer(*(x * scale for x, scale in zip(inputs, scales, strict=True)))
        while isinstance(result, tuple):
            result = result[0]
        if train:
            result.sum().backward()

    with torch.set_grad_enabled(train), profiler.profile(model) as p:
        run()
    totals = p.totals
    return {
        "macs": totals.macs,
        "other_flops": totals.other_flops,
        "transcendentals": totals.transcendentals,
        "params": totals.params,
        "bytes_read": totals.bytes_read,
        "bytes_written": totals.bytes_written,
        "peak": totals.peak_memory["total"],
        "uncounted": [row.operator for row in p.uncounted],
    }


DROPOUT = "attention with dropout has no fused kernel on the CPU; meta counts the fused one that the GPU runs"
INDEX_ARRAYS = "the CPU keeps arrays of indices that no other device needs; meta allocates those of the GPU"
#: What differs: the layer, whether it trains, the figures, and the cause.
DEPARTURES = {
    ("TransformerEncoderLayer with dropout", True): (
        "macs other_flops transcendentals bytes_read bytes_written peak", DROPOUT,
    ),
    ("EmbeddingBag", False): ("peak", INDEX_ARRAYS),
    ("EmbeddingBag", True): ("peak", INDEX_ARRAYS),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("train", [False, True], ids=["forward", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_costs_on_meta_what_it_costs_on_the_cpu(name, train):
    cpu, meta = figures(name, "cpu", train=train), figures(name, "meta", train=train)
    different = " ".join(figure for figure in cpu if cpu[figure] != meta[figure])
    expected, _ = DEPARTURES.get((name, train), ("", ""))
    assert different == expected, (cpu, meta)
    assert not cpu["uncounted"]

# ruff: noqa: D103 - the name of a case says which model it builds
"""Count models of other packages, for which no rule was written: is all counted, and does ``meta`` count the same?

    pip install --no-deps diffusers monai open_clip_torch …   # those that you have are tried
    python benchmarks/packages.py
    python benchmarks/packages.py diffusers.unet peft.lora

A row for each model: MACs and FLOPs of a forward pass in eval mode, MACs of a backward pass, what is uncounted, and
whether ``meta`` counts what the CPU counts. A model that cannot be built or run says why.
"""

from __future__ import annotations

import copy
import sys
import warnings
from typing import TYPE_CHECKING, Any

import cyclopts
import torch
from rich.console import Console
from rich.table import Table
from torch import nn, randn
from torch.utils._pytree import tree_map

import profiler

if TYPE_CHECKING:
    from collections.abc import Callable

Case = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]
CASES: dict[str, Callable[[], Case]] = {}
_IMAGE, _TOKENS = (1, 3, 64, 64), (1, 16)


def case(function: Callable[[], Case]) -> Callable[[], Case]:
    """Add a case; its name is that of the function, with a point for the first underscore."""
    CASES[function.__name__.replace("_", ".", 1)] = function
    return function


@case
def diffusers_unet() -> Case:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=16, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=8,
    )  # fmt: skip
    return model, (randn(1, 4, 16, 16), torch.tensor([5]), randn(1, 7, 32)), {}


@case
def diffusers_vae() -> Case:
    from diffusers import AutoencoderKL

    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(block_out_channels=(32, 64), norm_num_groups=8, **blocks), (randn(1, 3, 32, 32),), {}


@case
def monai_swin_unetr() -> Case:
    from monai.networks.nets import SwinUNETR

    return SwinUNETR(in_channels=1, out_channels=2, feature_size=12), (randn(1, 1, 64, 64, 64),), {}


@case
def monai_unet() -> Case:
    from monai.networks.nets import UNet

    model = UNet(spatial_dims=3, in_channels=1, out_channels=2, channels=(8, 16, 32), strides=(2, 2))
    return model, (randn(1, 1, 16, 16, 16),), {}


@case
def clip_vit() -> Case:
    import open_clip

    model = open_clip.create_model("ViT-B-32", pretrained=None)
    return model, (randn(1, 3, 224, 224), torch.randint(0, 100, (1, 77))), {}


@case
def segmentation_unet() -> Case:
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet18", encoder_weights=None), (randn(_IMAGE),), {}


@case
def segmentation_segformer() -> Case:
    import segmentation_models_pytorch as smp

    return smp.Segformer("mit_b0", encoder_weights=None), (randn(_IMAGE),), {}


def _of_graphs(name: str, **options: int) -> None:
    def build() -> Case:
        from torch_geometric import nn as layers

        return getattr(layers, name)(16, 8, **options), (randn(10, 16), torch.randint(0, 10, (2, 40))), {}

    CASES[f"graph.{name}"] = build


for _name in ("GCNConv", "GATConv", "GATv2Conv", "SAGEConv", "TransformerConv", "GraphConv", "TAGConv", "SGConv",
              "ARMAConv", "LEConv", "GENConv", "ClusterGCNConv"):  # fmt: skip
    _of_graphs(_name)
_of_graphs("ChebConv", K=3)


@case
def e3nn_product() -> Case:
    from e3nn import o3

    model = o3.FullyConnectedTensorProduct("4x0e+2x1o", "1x0e+1x1o", "4x0e+2x1o")
    return model, (randn(5, 10), randn(5, 4)), {}


@case
def kornia_sobel() -> Case:
    import kornia

    return kornia.filters.Sobel(), (randn(_IMAGE),), {}


@case
def xtransformers_decoder() -> Case:
    from x_transformers import Decoder, TransformerWrapper

    layers = Decoder(dim=32, depth=2, heads=2, attn_flash=True, use_rmsnorm=True, ff_glu=True)
    return TransformerWrapper(num_tokens=100, max_seq_len=32, attn_layers=layers), (torch.randint(0, 100, _TOKENS),), {}


@case
def vit_maxvit() -> Case:
    from vit_pytorch.max_vit import MaxViT

    model = MaxViT(num_classes=10, dim_conv_stem=16, dim=16, dim_head=8, depth=(1, 1), window_size=4)
    return model, (randn(_IMAGE),), {}


@case
def vit_xcit() -> Case:
    from vit_pytorch.xcit import XCiT

    model = XCiT(image_size=64, patch_size=8, num_classes=10, dim=32, depth=2, cls_depth=1, heads=2, mlp_dim=64)
    return model, (randn(_IMAGE),), {}


@case
def perceiver_images() -> Case:
    from perceiver_pytorch import Perceiver

    model = Perceiver(
        input_channels=3, input_axis=2, num_freq_bands=4, max_freq=10.0, depth=2, num_latents=16, latent_dim=32,
        cross_heads=1, latent_heads=2, cross_dim_head=16, latent_dim_head=16, num_classes=10,
    )  # fmt: skip
    return model, (randn(1, 16, 16, 3),), {}


@case
def diffusion_unet() -> Case:
    from denoising_diffusion_pytorch import Unet

    return Unet(dim=16, dim_mults=(1, 2), flash_attn=False), (randn(1, 3, 32, 32), torch.tensor([3])), {}


@case
def performer_encoder() -> Case:
    from performer_pytorch import Performer

    return Performer(dim=32, depth=2, heads=2, dim_head=16, causal=False), (randn(1, 32, 32),), {}


@case
def torchcrf_crf() -> Case:
    from torchcrf import CRF

    return CRF(5, batch_first=True), (randn(2, 7, 5), torch.randint(0, 5, (2, 7))), {}


@case
def gpytorch_exact() -> Case:
    import gpytorch

    class Process(gpytorch.models.ExactGP):
        def __init__(self) -> None:
            super().__init__(torch.rand(10, 2), torch.rand(10), gpytorch.likelihoods.GaussianLikelihood())
            self.mean_module = gpytorch.means.ConstantMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, x: torch.Tensor) -> object:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    return Process(), (torch.rand(4, 2),), {}


@case
def neuralop_fno() -> Case:
    from neuralop.models import FNO

    return FNO(n_modes=(8, 8), hidden_channels=16, in_channels=1, out_channels=1), (randn(1, 1, 16, 16),), {}


@case
def ultralytics_yolo11() -> Case:
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel("yolo11n.yaml", verbose=False), (randn(_IMAGE),), {}


def _adapted(**options: object) -> Case:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=100, **sizes))
    model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], **options))
    return model, (), {"input_ids": torch.randint(0, 100, _TOKENS)}


@case
def peft_lora() -> Case:
    return _adapted()


@case
def peft_dora() -> Case:
    return _adapted(use_dora=True)


def _quantized(name: str) -> None:
    def build() -> Case:
        from torchao import quantization

        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)).to(torch.bfloat16)
        quantization.quantize_(model, getattr(quantization, name)())
        return model, (randn(4, 64, dtype=torch.bfloat16),), {}

    CASES[f"torchao.{name.removesuffix('Config')}"] = build


for _name in ("Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig", "Float8WeightOnlyConfig"):
    _quantized(_name)


def main(*names: str) -> None:
    """Print a row for each model; status 1 if something is uncounted."""
    warnings.filterwarnings("ignore")
    if unknown := set(names) - CASES.keys():
        sys.exit(f"no case {', '.join(sorted(unknown))}; the cases are {', '.join(CASES)}")
    table, uncounted = Table(), False
    for column in ("model", "MACs", "FLOPs", "MACs of backward", "uncounted", "on meta"):
        table.add_column(column, no_wrap=True, min_width=14)
    for name in names or CASES:
        row = _row(name)
        uncounted |= len(row) > 2 and bool(row[4])  # noqa: PLR2004 - a model that does not run has a name and a reason
        table.add_row(*row)
    Console(width=190).print(table)
    sys.exit(uncounted)


def _row(name: str) -> tuple[str, ...]:
    torch.manual_seed(0)
    try:
        model, args, kwargs = CASES[name]()
        model.eval()
        with torch.no_grad():
            model(*args, **kwargs)
        forward = profiler.count(model, *args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever the package raises
        return name, _reason(error)
    uncounted = {row.operator for row in forward.uncounted}
    try:
        step = profiler.count_step(model.train(), *args, **kwargs)
        uncounted |= {row.operator for row in step.uncounted}
        backward = f"{step.phases['backward'].macs:,}" if "backward" in step.phases else "0"
    except Exception as error:  # noqa: BLE001
        backward = _reason(error)
    totals = forward.totals
    return (
        name,
        f"{totals.macs:,}",
        f"{totals.flops:,}",
        backward,
        " ".join(sorted(uncounted)),
        _on_meta(model, args, kwargs, forward),
    )


def _on_meta(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], on_cpu: profiler.Profile) -> str:
    try:
        moved = copy.deepcopy(model).eval().to("meta")
        args, kwargs = tree_map(lambda x: x.to("meta") if isinstance(x, torch.Tensor) else x, (args, kwargs))
        totals = profiler.count(moved, *args, **kwargs).totals
    except Exception as error:  # noqa: BLE001
        return _reason(error)
    same = (totals.macs, totals.flops) == (on_cpu.totals.macs, on_cpu.totals.flops)
    return "same" if same else f"{totals.macs:,} MACs, {totals.flops:,} FLOPs"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:40]}" if str(error) else type(error).__name__


if __name__ == "__main__":
    cyclopts.run(main)

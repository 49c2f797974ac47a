"""Autocast on any device: run a block as ``torch.autocast`` runs it on CUDA, also on ``meta``, which has no autocast.

Torch's autocast is part of the dispatcher, and only for the devices that registered it. Here the same conversions are
inserted at the level of Python functions, so that a model counted on ``meta`` casts what it would cast on a GPU.

Source of the lists: aten/src/ATen/autocast_mode.h of torch (AT_FORALL_LOWER_PRECISION_FP, AT_FORALL_FP32,
AT_FORALL_FP32_SET_OPT_DTYPE, AT_FORALL_PROMOTE); a test compares them with the header of the installed torch.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from types import CellType, FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from profiler.errors import InputError
from profiler.util.encoder_fast_path import no_fast_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.run.runner import Run
    from profiler.tally import Profile

#: Functions that cast their operands to the lower precision.
LOWER_PRECISION = frozenset(
    """
    _convolution _scaled_dot_product_flash_attention _thnn_fused_gru_cell _thnn_fused_lstm_cell addbmm addmm addmv addr
    baddbmm bmm chain_matmul conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
    convolution einsum gru_cell linalg_multi_dot linalg_vecdot linear lstm_cell matmul mm mv prelu rnn_relu_cell
    rnn_tanh_cell scaled_dot_product_attention
    """.split()
)
#: Functions that cast their operands to float32.
FLOAT32 = frozenset(
    """
    _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d acos asin binary_cross_entropy_with_logits cdist cosh cosine_embedding_loss
    cosine_similarity dist erfinv exp expm1 frobenius_norm group_norm hinge_embedding_loss huber_loss kl_div l1_loss
    layer_norm log log10 log1p log2 logsumexp margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss
    native_layer_norm nll_loss nll_loss2d nuclear_norm pdist poisson_nll_loss pow reciprocal renorm rms_norm rsqrt sinh
    smooth_l1_loss soft_margin_loss softplus tan triplet_margin_loss upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d
    """.split()
) - ({"rms_norm"} if torch.__version__ < "2.12" else set())
#: Functions that compute in float32 by their own argument ``dtype``, without a cast before them.
FLOAT32_BY_DTYPE = frozenset(
    "cumprod cumsum linalg_matrix_norm linalg_vector_norm log_softmax prod softmax sum".split()
)
#: Functions that cast their operands to the widest of their dtypes.
PROMOTE = frozenset(
    "addcdiv addcmul atan2 bilinear cross dot grid_sampler index_put scatter_add tensordot vdot".split()
)
#: Functions of Python that torch composes of listed ones out of Python's sight, by the list that decides.
_COMPOSED = {
    "__matmul__": LOWER_PRECISION, "gru": LOWER_PRECISION, "lstm": LOWER_PRECISION,
    "multi_dot": LOWER_PRECISION, "nll_loss_nd": FLOAT32, "norm": FLOAT32_BY_DTYPE, "rnn_relu": LOWER_PRECISION,
    "rnn_tanh": LOWER_PRECISION,
}  # fmt: skip
_LISTS = (LOWER_PRECISION, FLOAT32, FLOAT32_BY_DTYPE, PROMOTE)
_LIST_OF = {name: names for names in _LISTS for name in names} | _COMPOSED
#: The dtypes that autocast computes in, by name.
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_FLOAT32 = torch.float32
_HALF_TO_FLOAT = {"softmax": torch._softmax, "log_softmax": torch._log_softmax}
#: With these, torch's functions of Python ask whether a mode wants to run them.
_OFFERS = frozenset({"has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"})


@contextmanager
def cuda_autocast(dtype: torch.dtype) -> Iterator[None]:
    """Run the block with CUDA's autocast to *dtype*, on whatever device its tensors are.

    As under autocast, transformer layers do not take their fused fast path. A model that asks
    ``torch.is_autocast_enabled()``, or that turns autocast off for a part of itself, is not told.

    Args:
        dtype: The lower precision: ``torch.float16`` or ``torch.bfloat16``.

    Example:
        >>> x, weight = torch.ones(2, 4, device="meta"), torch.ones(3, 4, device="meta")
        >>> with cuda_autocast(torch.bfloat16):
        ...     y = torch.nn.functional.linear(x, weight)
        ...     y.dtype, y.softmax(-1).dtype
        (torch.bfloat16, torch.float32)
    """
    with no_fast_path(), _Casts(dtype):
        yield


def under_autocast(run: Run, name: str) -> Run:
    """Return *run* under autocast to the dtype of this name: torch's own on CUDA, elsewhere by CUDA's rules.

    Raises:
        InputError: Autocast has no such dtype.
    """
    if name not in DTYPES:
        msg = f"autocast to {name!r} is not possible; write {' or '.join(DTYPES)}"
        raise InputError(msg)

    def run_it(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
        device = next((tensor.device.type for tensor in (*model.parameters(), *model.buffers())), "meta")
        with torch.autocast("cuda", DTYPES[name]) if device == "cuda" else cuda_autocast(DTYPES[name]):
            return run(model, args, kwargs)

    return run_it


class _Casts(TorchFunctionMode):
    """Casts the operands of every listed function."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        #: The casts of parameters, each made once; with the parameter, so that its id stays its own.
        self._casts: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run *func* with its operands cast as its list says; look into functions that are written in Python."""
        kwargs = kwargs or {}
        if (
            isinstance(func, FunctionType) and "__class__" not in func.__code__.co_freevars
        ):  # a method that calls super()
            with self:
                return _without_overrides(func)(*args, **kwargs)
        if func is torch._C._nn.cross_entropy_loss:
            with self:
                return _cross_entropy(*args, **kwargs)
        names = _LIST_OF.get(getattr(func, "__name__", ""))
        if names is None or kwargs.get("out") is not None:
            return func(*args, **kwargs)
        if names is FLOAT32_BY_DTYPE:
            return _run_in_float32(func, args, kwargs)
        dtype = _widest((args, kwargs)) if names is PROMOTE else self._dtype if names is LOWER_PRECISION else _FLOAT32
        args, kwargs = tree_map_only(torch.Tensor, lambda tensor: self._cast(tensor, dtype), (args, kwargs))
        return func(*args, **kwargs)

    def _cast(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return *tensor* in *dtype*; a parameter's cast to the lower precision is kept until the block ends."""
        if not _is_cast(tensor) or tensor.dtype == dtype:
            return tensor
        if dtype != self._dtype or not (tensor.is_leaf and tensor.requires_grad and tensor.dtype == _FLOAT32):
            return tensor.to(dtype)
        if id(tensor) not in self._casts:
            self._casts[id(tensor)] = tensor, tensor.to(dtype)
        return self._casts[id(tensor)][1]


def _is_cast(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64


def _widest(operands: object) -> torch.dtype:
    """Return float32 if any operand has it, else the lower precision that all have."""
    dtypes = {leaf.dtype for leaf in tree_leaves(operands) if _is_cast(leaf)}
    return dtypes.pop() if len(dtypes) == 1 else _FLOAT32


def _run_in_float32(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function that takes its result's dtype as an argument; a given one stands."""
    operand = args[0] if args else None
    if (
        not isinstance(operand, torch.Tensor)
        or not _is_cast(operand)
        or kwargs.get("dtype") is not None
        or any(isinstance(a, torch.dtype) for a in args)
    ):
        return func(*args, **kwargs)
    # softmax of float16 is one kernel on CUDA, without a cast before it
    if operand.dtype == torch.float16 and func.__name__ in _HALF_TO_FLOAT:
        dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
        return _HALF_TO_FLOAT[func.__name__](operand, dim, half_to_float=True)
    return func(*args, **kwargs | {"dtype": _FLOAT32})


def _cross_entropy(
    scores: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    reduction: int,
    ignored: int,
    smoothing: float,
) -> torch.Tensor:
    """Run cross entropy as torch composes it: the logarithms keep the dtype of the scores, the loss casts them."""
    names = {0: "none", 1: "mean", 2: "sum"}
    logarithms = scores.log_softmax(min(1, scores.dim() - 1), dtype=scores.dtype)
    if target.is_floating_point() or smoothing:
        loss: Callable[..., torch.Tensor] = torch._C._nn.cross_entropy_loss
        return loss(logarithms, target, weight, reduction, ignored, smoothing)
    return functional.nll_loss(logarithms, target, weight, ignore_index=ignored, reduction=names[reduction])


@cache
def _without_overrides(func: FunctionType) -> FunctionType:
    """Return a copy of *func* that does not offer its call to function modes again, so that its body runs."""
    stubs: dict[str, Any] = dict.fromkeys(_OFFERS & func.__globals__.keys(), _no)
    modules = (name for name in func.__code__.co_names if func.__globals__.get(name) is torch.overrides)
    stubs |= dict.fromkeys(modules, _no_overrides())
    closure = tuple(_cell_without_overrides(cell, func) for cell in func.__closure__ or ()) or None
    copy = FunctionType(func.__code__, func.__globals__ | stubs, func.__name__, func.__defaults__, closure)
    copy.__kwdefaults__ = func.__kwdefaults__
    return copy


def _cell_without_overrides(cell: CellType, func: FunctionType) -> CellType:
    """Return a cell with a copy of the function in *cell*: a *func* of torch may choose between two others."""
    value = cell.cell_contents
    return CellType(_without_overrides(value)) if isinstance(value, FunctionType) and value is not func else cell


@cache
def _no_overrides() -> SimpleNamespace:
    """Return what stands for ``torch.overrides`` in a function that asks it by name whether to offer its call."""
    return SimpleNamespace(**vars(torch.overrides) | dict.fromkeys(_OFFERS, _no))


def _no(*_: object) -> bool:
    return False

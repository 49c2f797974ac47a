"""Parts that compute: layers of many families, with their products in closed form."""

from __future__ import annotations

import warnings
from math import gcd
from random import Random

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils._pytree import tree_map_only
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from random_models.tape import BATCH, Region, Tape, Value


class Linear(nn.Linear):
    """A linear layer whose weight may be frozen."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        width, self.trained = rng.randint(1, 9), rng.random() < 0.7
        super().__init__(x.width, width, bias=rng.random() < 0.5)
        self.requires_grad_(self.trained)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=self.trained)


class ByHand(torch.autograd.Function):
    """A product whose gradients are written by hand."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x = gradient @ weight.t() if ctx.needs_input_grad[0] else None
        of_weight = x.t() @ gradient if ctx.needs_input_grad[1] else None
        return of_x, of_weight


class WithSetup(torch.autograd.Function):
    """The same, in the style that takes its context apart."""

    @staticmethod
    def forward(x, weight):
        return x @ weight

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    backward = ByHand.backward


class ManyOutputs(torch.autograd.Function):
    """The same, with an output that has no gradient, and one that is no tensor."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        largest = x.argmax(1)
        ctx.mark_non_differentiable(largest)
        return x @ weight, largest, "text"

    @staticmethod
    def backward(ctx, gradient, *_):
        return ByHand.backward(ctx, gradient)


class Applies(torch.autograd.Function):
    """The same, by a function inside of a function."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return ByHand.apply(x, weight)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x = ByHand.apply(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        of_weight = WithSetup.apply(x.t(), gradient) if ctx.needs_input_grad[1] else None
        return of_x, of_weight


FUNCTIONS = (ByHand.apply, WithSetup.apply, lambda x, weight: ManyOutputs.apply(x, weight)[0], Applies.apply)


class HandWritten(nn.Module):
    """A module that calls a custom ``autograd.Function``."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 9), rng.random() < 0.7
        self.function = rng.choice(FUNCTIONS)
        self.weight = nn.Parameter(torch.randn(x.width, width), requires_grad=trained)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)

    def forward(self, x):
        return self.function(x, self.weight)


class HandWrittenAgain(nn.Module):
    """A checkpoint whose body is a custom function, without a module around it."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 9), rng.random() < 0.7
        self.function = rng.choice(FUNCTIONS)
        self.reentrant = rng.random() < 0.5 and not tape.by_hand  # torch's refuses ``autograd.grad``
        self.weight = nn.Parameter(torch.randn(x.width, width), requires_grad=trained)
        region = Region()
        tape.regions.append(region)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)
        tape.regions.pop()
        region.out = self.out if self.reentrant else None
        self.is_followed = self.out.requires_grad

    def forward(self, x):
        if self.reentrant and not self.is_followed:
            return self.function(x, self.weight)  # torch warns of such a one
        with set_checkpoint_early_stop(False):
            return checkpoint(self.function, x, self.weight, use_reentrant=self.reentrant)


class Inside(torch.Tensor):
    """A tensor that holds another one, as quantized weights do, and runs every operator on what it holds."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner):
        self.inner = inner

    def __tensor_flatten__(self):
        return ["inner"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, _meta, _size, _stride):
        return cls(inner["inner"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        args, kwargs = tree_map_only(cls, lambda tensor: tensor.inner, (args, kwargs or {}))
        result = func(*args, **kwargs)
        return cls(result) if func is torch.ops.aten.detach.default else result


class Quantized(Inside):
    """A tensor that holds integers and scales, in two tensors."""

    @staticmethod
    def __new__(cls, inner, scale):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=scale.dtype)

    def __init__(self, inner, scale):
        super().__init__(inner)
        self.scale = scale

    def __tensor_flatten__(self):
        return ["inner", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, _meta, _size, _stride):
        return cls(inner["inner"], inner["scale"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].inner, args[0].scale)
        args, kwargs = tree_map_only(cls, lambda tensor: tensor.inner * tensor.scale, (args, kwargs or {}))
        return func(*args, **kwargs)


class Wrapped(nn.Module):
    """A linear layer whose frozen weight is a tensor subclass."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width = rng.randint(1, 9)
        plain = torch.randn(x.width, width)
        weight = Inside(plain) if rng.random() < 0.5 else Quantized(plain.to(torch.int8), plain[:1].clone())
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.out = tape.call([x], width, BATCH * x.width * width)

    def forward(self, x):
        return torch.mm(x, self.weight)


class Over(nn.Module):
    """A linear layer at the path ``layer``, called in a way of its own."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        tape.path.append("layer")
        self.layer = Linear(rng, tape, x)
        tape.path.pop()
        self.out = self.layer.out


class Jagged(Over):
    """A linear layer over a nested tensor of two sequences."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__(rng, tape, x)
        self.offsets = torch.tensor([0, 1, BATCH])  # the same in a rerun, or its lengths are taken for others

    def forward(self, x):
        return self.layer(torch.nested.nested_tensor_from_jagged(x, self.offsets)).values()


class Vmapped(Over):
    """A linear layer over one row at a time."""

    def forward(self, x):
        return torch.vmap(self.layer)(x)


class Lazy(nn.LazyLinear):
    """A linear layer whose weight is made in its first forward."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        width = rng.randint(1, 9)
        super().__init__(width)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=True)


class Convolution(nn.Module):
    """A convolution over the columns as a line of one channel."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        channels, trained = rng.randint(1, 3), rng.random() < 0.7
        self.layer = nn.Conv1d(1, channels, 3, padding=1, bias=rng.random() < 0.5).requires_grad_(trained)
        tape.path.append("layer")
        self.out = tape.call([x], x.width * channels, BATCH * x.width * channels * 3, trained=trained)
        tape.path.pop()

    def forward(self, x):
        return self.layer(x[:, None]).flatten(1)


class Pointwise(nn.Module):
    """Arithmetic without products: an activation, in place or not, a norm, or dropout."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        kinds = [nn.ReLU(), nn.GELU(), nn.Dropout(0.3), nn.LayerNorm(x.width, elementwise_affine=False), nn.SiLU()]
        self.layer = rng.choice(kinds)
        self.out = tape.call([x], x.width)

    def forward(self, x):
        return self.layer(x * 1)


class Squared(nn.Module):
    """The product of the rows with themselves: a product of two followed operands."""

    def __init__(self, _rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        self.out = tape.call([x, x], BATCH, BATCH * x.width * BATCH)

    def forward(self, x):
        return x @ x.t()


class Detached(nn.Module):
    """A cut in the graph."""

    def __init__(self, _rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        self.out = tape.call([x], x.width, cut=True)

    def forward(self, x):
        return x.detach() * 1


class Convolutions(nn.Module):
    """A convolution of one to three dimensions, or a transposed one, with groups, strides and gaps."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        channels = rng.choice([c for c in range(1, x.width + 1) if x.width % c == 0])
        results, dimensions, transposed = rng.randint(1, 4), rng.randint(1, 3), rng.random() < 0.4
        groups = rng.choice([g for g in range(1, 5) if gcd(channels, results) % g == 0])
        length, kernel, padding = x.width // channels, rng.randint(1, 3), rng.randint(1, 2)
        stride, dilation, trained = rng.randint(1, 2), rng.randint(1, 2), rng.random() < 0.7
        padding = max(padding, dilation * (kernel - 1))
        flat = (1,) * (dimensions - 1)
        kind = ([nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d] if transposed else
                [nn.Conv1d, nn.Conv2d, nn.Conv3d])[dimensions - 1]  # fmt: skip
        self.layer = kind(
            channels, results, (kernel, *flat), (stride, *flat), (padding, *flat) if not transposed else 0,
            groups=groups, dilation=(dilation, *flat), bias=rng.random() < 0.5,
        ).requires_grad_(trained)  # fmt: skip
        self.shape = (BATCH, channels, length, *flat)
        if transposed:
            sums, size = length, (length - 1) * stride + dilation * (kernel - 1) + 1
        else:
            size = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            sums = size * 3 ** (dimensions - 1)  # a padded line of one has three positions
        width = results * size * (1 if transposed else 3 ** (dimensions - 1))
        macs = BATCH * channels * results // groups * kernel * sums
        tape.path.append("layer")
        self.out = tape.call([x], width, macs, trained=trained)
        tape.path.pop()

    def forward(self, x):
        return self.layer(x.reshape(self.shape)).flatten(1)


class Embedded(nn.Module):
    """A table in which a row is looked up for the largest column, or a bag of rows for all columns."""

    sparse = False

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained, sparse = rng.randint(1, 9), rng.random() < 0.7, self.sparse
        self.in_bags, mode = rng.random() < 0.5, rng.choice(["sum", "mean", "max"])
        if self.in_bags:
            self.layer = nn.EmbeddingBag(5, width, mode=mode, sparse=sparse and mode != "max")
        else:
            self.layer = nn.Embedding(max(x.width, 2), width, sparse=sparse)
        self.layer.requires_grad_(trained)
        self.out = tape.call([], width, trained=trained)

    def forward(self, x):
        x = x.detach()
        return self.layer(x.abs().long().clamp(0, 4) if self.in_bags else x.argmax(1))


class SparseGradient(Embedded):
    """The same with a gradient that holds only the rows that were looked up."""

    sparse = True


class Weighted(nn.Module):
    """Bags of rows with a weight for each: the product of a sparse matrix and the table."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 9), rng.random() < 0.7
        self.layer = nn.EmbeddingBag(5, width, mode="sum").requires_grad_(trained)
        tape.path.append("layer")
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)
        tape.path.pop()

    def forward(self, x):
        return self.layer(x.detach().abs().long().clamp(0, 4), per_sample_weights=x)


class Sparse(nn.Module):
    """A product with a frozen matrix of which the elements that are not zero are stored."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width = rng.randint(1, 9)
        dense = torch.randn(width, x.width).relu()
        dense[0, 0] = 1
        self.weight = dense.to_sparse_csr() if rng.random() < 0.5 else dense.to_sparse_coo()
        self.out = tape.call([x], width, BATCH * int((dense != 0).sum()))

    def forward(self, x):
        return torch.sparse.mm(self.weight, x.t()).t()


class Complex(nn.Module):
    """A product of complex numbers: four of real ones."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 5), rng.random() < 0.7
        self.weight = nn.Parameter(torch.randn(x.width, width, dtype=torch.complex64), requires_grad=trained)
        self.out = tape.call([x], 2 * width, 4 * BATCH * x.width * width, trained=trained)

    def forward(self, x):
        return torch.view_as_real(torch.complex(x, x) @ self.weight).flatten(1)


class OtherDtype(nn.Module):
    """A linear layer of another precision."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        tape.path.append("layer")
        self.layer = Linear(rng, tape, x).to(rng.choice([torch.float64, torch.bfloat16, torch.float16]))
        tape.path.pop()
        self.out = self.layer.out

    def forward(self, x):
        return self.layer(x.to(self.layer.weight.dtype)).float()


class Integers(nn.Module):
    """A product of integers, which cuts the graph."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width = rng.randint(1, 9)
        self.register_buffer("weight", torch.randint(-3, 4, (x.width, width), dtype=torch.int32))
        self.out = tape.call([x], width, BATCH * x.width * width, cut=True)

    def forward(self, x):
        return (x.to(torch.int32) @ self.weight).float()


class InPlace(nn.Module):
    """A product that is added to a tensor in place, and arithmetic in place after it."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 9), rng.random() < 0.7
        self.weight = nn.Parameter(torch.randn(x.width, width), requires_grad=trained)
        self.batched = rng.random() < 0.5
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)

    def forward(self, x):
        out = x.new_zeros(len(x), self.weight.shape[1])
        if self.batched:
            out[None].baddbmm_(x[None], self.weight[None])
        else:
            out.addmm_(x, self.weight)
        return out.add_(1).mul_(2).relu_()


class Einsum(nn.Module):
    """A product that is written as a sum over indices, or over a batch of weights."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 5), rng.random() < 0.7
        self.summed = rng.random() < 0.5 and x.width > 1  # over an index of one, einsum has nothing to add up
        self.weight = nn.Parameter(torch.randn(2, x.width, width), requires_grad=trained)
        self.out = tape.call([x], 2 * width, 2 * BATCH * x.width * width, trained=trained)

    def forward(self, x):
        if self.summed:
            return torch.einsum("bi,kij->bkj", x, self.weight).flatten(1)
        return torch.matmul(x, self.weight).transpose(0, 1).flatten(1)


class Recurrent(nn.Module):
    """A recurrent layer over the rows as one sequence, by steps: RNN or GRU."""

    kinds = (nn.RNN, nn.GRU)

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        kind, hidden = rng.choice(self.kinds), rng.randint(1, 5)
        trained, directions = rng.random() < 0.7, rng.randint(1, 2)
        gates = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}[kind]
        self.layer = kind(x.width, hidden, batch_first=True, bidirectional=directions == 2, bias=rng.random() < 0.7)
        self.layer.requires_grad_(trained)
        of_x, of_state = (BATCH * gates * hidden * n * directions for n in (x.width, hidden))
        # the state before the first step is a constant, and without a gradient
        later = of_state * (BATCH - 1) // BATCH
        backward = self.backward(of_x, of_state, later, trained=trained, followed=x.requires_grad)
        tape.path.append("layer")
        self.out = tape.call([x], hidden * directions, of_x + of_state, trained=trained, backward=backward)
        tape.path.pop()

    def backward(self, of_x: int, of_state: int, later: int, *, trained: bool, followed: bool) -> int:
        """Return what the gradients take."""
        return trained * (of_x + of_state) + followed * of_x + later

    def forward(self, x):
        return self.layer(x[None])[0][0]


class Fused(Recurrent):
    """An LSTM, which is one operator: its gradients are all computed."""

    kinds = (nn.LSTM,)

    def backward(self, of_x: int, of_state: int, later: int, *, trained: bool, followed: bool) -> int:
        return 2 * (of_x + of_state)


class Attention(nn.Module):
    """Attention of the rows to each other, without weights."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        self.heads = rng.choice([heads for heads in range(1, x.width + 1) if x.width % heads == 0])
        self.is_causal = rng.random() < 0.3
        # scores and their product with the values; backward computes the scores again, and four gradients
        product = BATCH * BATCH * x.width
        self.out = tape.call([x, x, x], x.width, 2 * product, backward=5 * product)

    def forward(self, x):
        # flash attention needs rows that are contiguous; without them there are four gradients of other products
        heads = x.contiguous().reshape(1, len(x), self.heads, -1).transpose(1, 2)
        result = functional.scaled_dot_product_attention(heads, heads, heads, is_causal=self.is_causal)
        return result.transpose(1, 2).reshape(x.shape)


class Encoder(nn.Module):
    """An encoder layer of a transformer: its attention, and its two linear layers."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        heads = rng.choice([heads for heads in range(1, x.width + 1) if x.width % heads == 0])
        wide, trained = rng.randint(1, 9), rng.random() < 0.7
        norm_first, activation = rng.random() < 0.5, rng.choice(["relu", "gelu"])
        self.layer = nn.TransformerEncoderLayer(
            x.width, heads, wide, 0.0, activation, batch_first=True, norm_first=norm_first
        ).requires_grad_(trained)
        square, product = BATCH * x.width * x.width, BATCH * BATCH * x.width
        tape.path += ["layer", "self_attn"]
        first = tape.call([x], x.width, trained=trained) if norm_first else x
        qkv = tape.call([first], 3 * x.width, 3 * square, trained=trained)
        mixed = tape.call([qkv], x.width, 2 * product, backward=5 * product)
        y = tape.call([tape.call([mixed], x.width, square, trained=trained), x], x.width)
        tape.path[-1] = "linear1"
        inner = tape.call([y], wide, BATCH * x.width * wide, trained=trained)
        tape.path[-1] = "linear2"
        z = tape.call([inner], x.width, BATCH * x.width * wide, trained=trained)
        del tape.path[-2:]
        self.out = tape.call([y, z], x.width, trained=trained)

    def forward(self, x):
        return self.layer(x[None])[0]


class Normalized(nn.Module):
    """A norm over the batch or over the columns, with or without weights of its own."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        w, trained, affine = x.width, rng.random() < 0.7, rng.random() < 0.7
        self.layer = rng.choice([
            nn.BatchNorm1d(w, affine=affine), nn.LayerNorm(w, elementwise_affine=affine),
            nn.RMSNorm(w, elementwise_affine=affine), nn.GroupNorm(1, w, affine=affine),
            nn.BatchNorm1d(w, affine=affine, track_running_stats=False),
        ]).requires_grad_(trained)  # fmt: skip
        self.out = tape.call([x], w, trained=trained and affine)

    def forward(self, x):
        return self.layer(x)


class Shaped(nn.Module):
    """Arithmetic without products that changes the shape: pooling, resampling, sums, sorting."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        w = x.width
        # with its columns, and whether it saves a tensor for backward
        self.function, width, saves = rng.choice([
            (lambda x: functional.max_pool1d(x[:, None], 3, 1, 1).flatten(1), w, True),
            (lambda x: functional.avg_pool1d(x[:, None], 1).flatten(1), w, True),
            (lambda x: functional.adaptive_avg_pool1d(x[:, None], 2).flatten(1), 2, True),
            (lambda x: functional.interpolate(x[:, None], scale_factor=2, mode="linear").flatten(1), 2 * w, False),
            (lambda x: functional.softmax(x, 1), w, True), (lambda x: x.cumsum(1), w, False),
            (lambda x: x.sort(1).values, w, True), (lambda x: functional.pad(x, (1, 1)), w + 2, False),
            (lambda x: x.logsumexp(1, keepdim=True), 1, True), (lambda x: torch.where(x > 0, x, 2 * x), w, True),
            (functional.normalize, w, True), (lambda x: x.std(1, keepdim=True, correction=0), 1, True),
        ])  # fmt: skip
        self.out = tape.call([x], width, saves=saves)

    def forward(self, x):
        return self.function(x)


class Packed8(nn.Module):
    """A linear layer with packed weights of 8 bits, which cuts the graph."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width = rng.randint(1, 9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = torch.ao.nn.quantized.dynamic.Linear(x.width, width)
        self.layer = layer
        tape.path.append("layer")
        self.out = tape.call([x], width, BATCH * x.width * width, cut=True)
        tape.path.pop()

    def forward(self, x):
        return self.layer(x.detach())


class Parametrized(nn.Module):
    """A linear layer whose weight is computed in each forward."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 9), rng.random() < 0.7
        self.layer = parametrizations.weight_norm(nn.Linear(x.width, width)).requires_grad_(trained)
        tape.path.append("layer")
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)
        tape.path.pop()

    def forward(self, x):
        return self.layer(x)


class Shared(nn.Module):
    """A linear layer that is elsewhere in the model too, if there is one that fits."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        fitting = [layer for layer in tape.layers if layer.in_features == x.width]
        trained = rng.random() < 0.7
        self.layer = rng.choice(fitting) if fitting else nn.Linear(x.width, rng.randint(1, 9)).requires_grad_(trained)
        if not fitting:
            tape.layers.append(self.layer)
        width, trained = self.layer.out_features, self.layer.weight.requires_grad
        tape.path.append("layer")
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)
        tape.path.pop()

    def forward(self, x):
        return self.layer(x)


class Unwrapped(Over):
    """A linear layer whose ``forward`` is called instead of it: the work is that of the caller."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        nn.Module.__init__(self)
        self.layer = Linear(rng, tape, x)
        self.out = self.layer.out

    def forward(self, x):
        return self.layer.forward(x)


LEAVES = {
    kind.__name__: kind
    for kind in (
        Linear, HandWritten, HandWrittenAgain, Wrapped, Jagged, Vmapped, Lazy, Convolution, Pointwise, Squared,
        Detached, Convolutions, Embedded, SparseGradient, Weighted, Sparse, Complex, OtherDtype, Integers, InPlace,
        Einsum, Recurrent, Fused, Attention, Encoder, Normalized, Shaped, Packed8, Parametrized, Shared, Unwrapped,
    )
}  # fmt: skip

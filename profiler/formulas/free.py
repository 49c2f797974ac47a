"""Operators without arithmetic: those that cost nothing, and those that only move data.

Allocations, metadata queries, checks and views are free: they cost nothing, not even bytes. An operator that only moves
data reads each operand once and writes each result once, unless it has a formula here.
"""

from __future__ import annotations

import math

from profiler.formulas.registry import formula
from profiler.values.records import Cost, OpRecord, TensorSpec

#: Operators of ``aten`` that cost nothing.
FREE = frozenset(
    """
    _assert_async _assert_scalar _assert_tensor_metadata _efficientzerotensor _functional_assert_async
    _functional_sym_constrain_range _functional_sym_constrain_range_for_size _has_same_storage_numel
    _linalg_check_errors _local_scalar_dense _nnz _dimI _dimV _indices _values _fused_sdp_choice _make_dep_token
    _nested_get_lengths _nested_get_offsets _nested_get_ragged_idx _nested_tensor_offsets _nested_tensor_size
    _nested_tensor_storage_offsets _nested_tensor_strides _print _resize_output _resize_output_
    _sparse_coo_tensor_with_dims _sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_unsafe _coalesced_
    _use_cudnn_rnn_flatten_weight _sparse_compressed_tensor_with_dims _sparse_compressed_tensor_unsafe
    sparse_compressed_tensor _cudnn_rnn_flatten_weight _unsafe_view as_strided_ ccol_indices coalesced_
    col_indices crow_indices dense_dim dim empty empty_like empty_permuted empty_quantized empty_strided indices
    is_coalesced is_contiguous is_non_overlapping_and_dense is_pinned is_same_size is_strides_like_format layout
    lift new_empty new_empty_strided numel q_per_channel_axis q_per_channel_scales q_per_channel_zero_points
    q_scale q_zero_point qscheme record_stream resize resize_ resize_as resize_as_ resize_as_sparse_ row_indices
    set_ size sparse_dim sparse_resize_ storage_offset stride sparse_resize_and_clear_ squeeze_ unsqueeze_ t_
    transpose_ swapaxes_ swapdims_ detach_ rename_ sym_constrain_range sym_constrain_range_for_size
    sym_is_contiguous sym_numel sym_size sym_storage_offset sym_stride values unsafe_split
    unsafe_split_with_sizes _amp_update_scale_ _nested_compute_contiguous_strides_offsets
    _nested_get_jagged_dummy _nested_get_max_seqlen _nested_get_min_seqlen _nested_get_values
    _nested_view_from_buffer _use_cudnn_ctc_loss _use_miopen_ctc_loss is_set_to
    _validate_compressed_sparse_indices
    """.split()
)

#: Operators of other libraries that cost nothing. Torchvision asks for the version of CUDA while it is imported.
_FREE_ELSEWHERE = frozenset({("torchvision", "_cuda_version")})

#: Operators of ``aten`` that only move data, by functional name.
DATA_MOVEMENT = frozenset(
    """
    _chunk_cat _conj_physical _copy_from _copy_from_and_resize _convert_weight_to_int4pack
    _convert_weight_to_int4pack_for_cpu _dyn_quant_pack_4bit_weight _empty_affine_quantized _foreach_copy
    _foreach_zero _index_put_impl _jagged_to_padded_dense_forward _nested_from_padded _nested_from_padded_tensor
    _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned _nested_tensor_from_tensor_list
    _pack_padded_sequence _padded_dense_to_jagged_forward _pad_packed_sequence _pin_memory _reshape_copy
    _nested_view_from_buffer_copy _nested_view_from_jagged_copy _spdiags _to_copy _to_cpu _to_dense _to_sparse
    _to_sparse_bsc _to_sparse_bsr _to_sparse_csc _to_sparse_csr _unsafe_index _unsafe_masked_index _conj_copy
    alias_copy arange as_strided_copy as_strided_scatter block_diag cartesian_prod cat channel_shuffle clone
    combinations complex constant_pad_nd copy copy_sparse_to_sparse detach_copy diag_embed diagonal_backward
    diagonal_copy diagonal_scatter expand_copy eye fill flip full full_like from_file gather im2col index
    index_copy index_fill index_put index_select lift_fresh lift_fresh_copy linspace logspace masked_fill
    masked_scatter masked_scatter_backward masked_select max_unpool2d max_unpool3d mkldnn_reorder_conv2d_weight
    mkldnn_reorder_conv3d_weight mkldnn_reorder_mkldnn_rnn_layer_weight narrow_copy native_channel_shuffle
    new_full new_ones new_zeros nonzero nonzero_static ones ones_like permute_copy pixel_shuffle pixel_unshuffle
    quantized_batch_norm_pack reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
    replication_pad1d replication_pad2d replication_pad3d roll rot90 scalar_tensor scatter select_backward
    select_copy select_scatter slice_backward slice_copy slice_scatter sparse_mask _sparse_mask_projection
    split_copy split_with_sizes_copy squeeze_copy stack t_copy take to_dense to_mkldnn to_padded_tensor
    to_sparse transpose_copy tril tril_indices triu triu_indices unbind_copy unfold_backward unfold_copy
    unsqueeze_copy upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d vander view_as_complex_copy view_as_real_copy view_copy
    where zero zeros zeros_like int_repr dequantize_self quantized_reorder _make_per_tensor_quantized_tensor
    _make_per_channel_quantized_tensor _mkldnn_reshape _mkldnn_transpose _convert_indices_from_coo_to_csr
    _convert_indices_from_csr_to_coo _nested_from_padded_and_nested_example _nested_select_backward
    _sparse_broadcast_to range value_selecting_reduction_backward _empty_per_channel_affine_quantized
    """.split()
)


def is_free(operator: str) -> bool:
    """Return whether an operator costs nothing."""
    library, name = _split(operator)
    return library in {"prim", "profiler"} or (library == "aten" and name in FREE) or (library, name) in _FREE_ELSEWHERE


def is_data_movement(operator: str) -> bool:
    """Return whether an operator only moves data, and has no other cost."""
    library, name = _split(operator)
    return library == "aten" and name.removesuffix("_") in DATA_MOVEMENT


def free_cost(record: OpRecord) -> Cost:  # noqa: ARG001 - the signature of every rule
    """Return a cost of zero, bytes included."""
    return Cost(bytes_read=0, bytes_written=0)


def data_movement_cost(record: OpRecord) -> Cost:  # noqa: ARG001 - the signature of every rule
    """Return a cost without arithmetic: the bytes of the operands and results."""
    return Cost()


@formula("aten::copy_", "aten::_foreach_copy_")
def copy_(src: TensorSpec) -> Cost:
    """Count reading the source and writing the destination, whose old contents are not read."""
    return Cost(bytes_read=_bytes(src))


@formula("aten::fill_", "aten::zero_", "aten::_foreach_zero_")
def fill_() -> Cost:
    """Count writing every element; nothing is read."""
    return Cost(bytes_read=0)


@formula("aten::gather", "aten::take", "aten::index_select")
def gather(index: TensorSpec, out: TensorSpec) -> Cost:
    """Count reading the indices and the selected elements only, not the whole tensor."""
    return Cost(bytes_read=index.bytes + out.bytes)


@formula("aten::index", "aten::_unsafe_index")
def index(indices: tuple[TensorSpec | None, ...], out: TensorSpec) -> Cost:
    """Count reading the indices and the selected elements only, not the whole tensor."""
    return Cost(bytes_read=_bytes(indices) + out.bytes)


@formula("aten::index_put_", "aten::_index_put_impl_")
def index_put_(indices: tuple[TensorSpec | None, ...], values: TensorSpec, accumulate: bool) -> Cost:
    """Count writing the values at the indices; with *accumulate*, also reading the old elements and one add each."""
    adds = math.prod(values.shape) if accumulate else 0
    return Cost(
        other_flops=adds,
        bytes_read=_bytes(indices) + values.bytes * (2 if accumulate else 1),
        bytes_written=values.bytes,
    )


@formula("aten::index_copy_")
def index_copy_(index: TensorSpec, source: TensorSpec) -> Cost:
    """Count reading the source and writing it at the indices; the rest of the destination is not touched."""
    return Cost(bytes_read=index.bytes + source.bytes, bytes_written=source.bytes)


def _bytes(value: object) -> int:
    if isinstance(value, TensorSpec):
        return value.bytes
    return sum(_bytes(item) for item in value) if isinstance(value, tuple) else 0


def _split(operator: str) -> tuple[str, str]:
    library, _, rest = operator.partition(".")
    return library, rest.partition(".")[0]

"""Collective operations of ``torch.distributed``: they move a payload between ranks.

Counted is what one rank reads from its memory and writes to it: a buffer that is sent is read once, one that is filled
is written once, and one that is reduced or broadcast in place is both. The additions of a reduction and the traffic on
the links are not counted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.values.records import Cost, tensors

if TYPE_CHECKING:
    from profiler.values.communication import Kind
    from profiler.values.records import OpRecord, TensorSpec

_NAMES = {
    "c10d": """
        _allgather_base_ _reduce_scatter_base_ allgather_ allgather_coalesced_ allgather_into_tensor_coalesced_
        allreduce_ allreduce_coalesced_ alltoall_ alltoall_base_ broadcast_ check_for_nan gather_ gather_into_tensor_
        recv_ recv_any_source_ reduce_ reduce_scatter_ reduce_scatter_tensor_coalesced_ scatter_ send
    """,
    "_c10d_functional": """
        all_gather_into_tensor all_gather_into_tensor_coalesced all_gather_into_tensor_out all_reduce all_reduce_
        all_reduce_coalesced all_reduce_coalesced_ all_to_all_single batch_p2p_ops broadcast broadcast_ irecv isend
        reduce_scatter_tensor reduce_scatter_tensor_coalesced reduce_scatter_tensor_out
    """,
    "_c10d_functional_autograd": "all_gather_into_tensor all_to_all_single reduce_scatter_tensor",
    "_dtensor": "shard_dim_alltoall",
    "fsdp": "all_gather_copy_in chunk_cat chunk_cat_mixed_dtype copy_ split_with_sizes_copy",
    "symm_mem": """
        _low_contention_all_gather _low_contention_all_gather_ce_multicast _low_contention_all_gather_ce_multicast_out
        _low_contention_reduce_scatter all_to_all_vdev all_to_all_vdev_2d all_to_all_vdev_2d_offset
        memcpy_to_multicast_ multi_root_tile_reduce multimem_all_gather_out multimem_all_reduce_
        multimem_one_shot_all_reduce multimem_one_shot_all_reduce_out multimem_one_shot_reduce_out nccl_all_to_all_nd
        nccl_get nccl_get_out nccl_put nccl_put_signal nccl_put_with_signal nccl_reduce_scatter_offset
        nvshmem_all_to_all nvshmem_broadcast nvshmem_get nvshmem_get_out nvshmem_put nvshmem_put_with_signal
        one_shot_all_reduce one_shot_all_reduce_copy one_shot_all_reduce_copy_out one_shot_all_reduce_out
        reduce_scatter_out tile_reduce two_shot_all_reduce_ two_shot_all_reduce_out
    """,
}
_FREE = {
    "c10d": "barrier monitored_barrier_",
    "_c10d_functional": "_wrap_tensor_autograd wait_tensor wait_tensors",
    "_dtensor": "mesh_get_process_group",
    "fsdp": "record_grad_output_stream",
    "symm_mem": """
        _barrier _rendezvous get_remote_tensors memset32_ nccl_wait_for_signal nccl_wait_signal nvshmem_wait_for_signal
        stream_write_value32_
    """,
}
#: Operators that move data, and those that only wait or query, as ``library.name``.
MOVING = frozenset(f"{library}.{name}" for library, names in _NAMES.items() for name in names.split())
WAITING = frozenset(f"{library}.{name}" for library, names in _FREE.items() for name in names.split())

#: Arguments that are filled, and not read. The schemas of ``c10d`` do not tell.
_FILLED = frozenset({
    "all_gather_output", "dst", "out", "out_splits_offsets", "out_tile", "output", "output_lists", "output_tensor",
    "output_tensors", "outputs", "symm_mem_out",
})  # fmt: skip
#: Operators that read and write their ``tensors``, those that only write them, and those that only read their operand.
_IN_PLACE = frozenset({"c10d.allreduce_", "c10d.allreduce_coalesced_", "c10d.broadcast_", "c10d.reduce_"})
_RECEIVING = frozenset({"c10d.recv_", "c10d.recv_any_source_", "_c10d_functional.irecv", "symm_mem.nccl_get",
                        "symm_mem.nvshmem_get"})  # fmt: skip
_SENDING = frozenset({"c10d.send", "_c10d_functional.isend", "symm_mem.nccl_put", "symm_mem.nvshmem_put"})
#: Copies its inputs into a part of its output.
_COPY_IN = "fsdp.all_gather_copy_in"


def collective_cost(record: OpRecord) -> Cost:
    """Return the bytes of its buffers that a rank reads and writes; there is no arithmetic."""
    operands = {name: sum(spec.bytes for spec in tensors(value)) for name, value in record.arguments}
    filled = _filled(record)
    read = sum(size for name, size in operands.items() if name not in filled)
    written = sum(operands[name] for name in _overwritten(record) if name in operands)
    if record.packet == _COPY_IN:
        written = read
    elif not written and record.packet not in _SENDING and not record.packet.startswith("c10d."):
        written = sum(spec.bytes for result in record.results for spec in tensors(result))
    return Cost(bytes_read=read, bytes_written=written)


def _filled(record: OpRecord) -> frozenset[str]:
    if record.packet in _RECEIVING:
        return frozenset({"tensors", "tensor"})
    if record.packet == "fsdp.split_with_sizes_copy":
        return frozenset({"out"})  # its input is the output of a gather
    return _FILLED | ({"tensor"} if record.packet == "fsdp.copy_" else set())


def _overwritten(record: OpRecord) -> frozenset[str]:
    """Return the names of the arguments that are written."""
    if record.packet in _SENDING:
        return frozenset()
    in_place = {"tensors"} if record.packet in _IN_PLACE else set()
    return _filled(record) | in_place | set(record.mutated)


#: The kind of each collective, by the beginning of its operator's name; the first that fits.
_KINDS: tuple[tuple[str, Kind], ...] = (
    ("all_gather", "all_gather"), ("_allgather", "all_gather"), ("allgather", "all_gather"),
    ("reduce_scatter", "reduce_scatter"), ("_reduce_scatter", "reduce_scatter"),
    ("all_reduce", "all_reduce"), ("allreduce", "all_reduce"),
    ("all_to_all", "all_to_all"), ("alltoall", "all_to_all"), ("shard_dim_alltoall", "all_to_all"),
    ("broadcast", "broadcast"), ("reduce_", "reduce"), ("gather", "gather"), ("scatter", "scatter"),
    ("send", "send"), ("isend", "send"), ("recv", "recv"), ("irecv", "recv"),
)  # fmt: skip
#: The libraries whose operators exchange something; those of ``fsdp`` copy within a rank.
_EXCHANGING = frozenset({"c10d", "_c10d_functional", "_c10d_functional_autograd", "_dtensor"})


def collective_kind(record: OpRecord) -> Kind | None:
    """Return the kind of collective or transfer that a record is; None for any other operator.

    Example:
        >>> from profiler.values.records import OpRecord
        >>> collective_kind(OpRecord("c10d._allgather_base_.default", "", "forward", (), (), 1))
        'all_gather'
    """
    library, _, name = record.packet.partition(".")
    if library not in _EXCHANGING or record.packet not in MOVING:
        return None
    return next((kind for prefix, kind in _KINDS if name.startswith(prefix)), None)


def collective_payload(record: OpRecord, kind: Kind) -> list[TensorSpec]:
    """Return the buffers whose bytes are the payload: what is gathered or received, or else what is sent or reduced."""
    filled = _filled(record)
    if kind not in {"all_gather", "gather", "recv"}:
        return [spec for name, value in record.arguments if name not in filled for spec in tensors(value)]
    received = [spec for name, value in record.arguments if name in filled for spec in tensors(value)]
    return received or [spec for result in record.results for spec in tensors(result)]

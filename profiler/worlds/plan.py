"""``ParallelPlan``: how a model is divided over the ranks of a mesh, and the step that they run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from profiler.errors import InputError
from profiler.escaping import quoted
from profiler.worlds.mesh import Mesh

DataParallel = Literal["none", "ddp", "fsdp", "hsdp"]
#: The schedules of a pipeline, by their name on the command line, with their class in ``torch.distributed.pipelining``.
SCHEDULES = {"gpipe": "ScheduleGPipe", "1f1b": "Schedule1F1B", "interleaved": "ScheduleInterleaved1F1B"}
_INTERLEAVED = re.compile(r"interleaved(?::([1-9]\d{0,2}))?")
_DEFAULT_CHUNKS = 2
#: The axes over which each way of data parallelism shards or replicates.
_NEEDS: dict[DataParallel, tuple[str, ...]] = {"ddp": ("dp",), "fsdp": ("dp",), "hsdp": ("replicate", "dp")}
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ParallelPlan:
    """A mesh, and what each of its axes does.

    Raises:
        InputError: The axes and the ways of parallelism do not fit.
    """

    mesh: Mesh
    data_parallel: DataParallel = "none"
    #: ``auto``, ``FILE.py:NAME``; None without tensor parallelism.
    tp_plan: str | None = None
    #: ``gpipe``, ``1f1b``, ``interleaved`` or ``interleaved:CHUNKS``.
    schedule: str = "1f1b"
    microbatches: int = 1
    #: The dtype of FSDP's gathered parameters; gradients are then reduced in float32. None for the parameters' own.
    param_dtype: str | None = None
    #: Over how many ranks the experts of a layer are divided; they are ranks of the axes dp, cp and tp.
    expert_parallel: int = 1

    def __post_init__(self) -> None:
        """Validate the combination."""
        self._check_data_parallel()
        if self.tp_plan is not None and self.mesh.size("tp") == 1:
            msg = "--tp-plan divides layers over the axis tp, which the mesh lacks; add it, such as --mesh dp=4,tp=2"
            raise InputError(msg)
        if self.microbatches < 1:
            msg = f"the number of microbatches is {self.microbatches}; it must be 1 or more"
            raise InputError(msg)
        if self.param_dtype is not None and self.data_parallel not in {"fsdp", "hsdp"}:
            msg = "--autocast sets the dtype of FSDP's gathered parameters in a world; add --fsdp, or use --dtype"
            raise InputError(msg)
        self._check_experts()
        if self.mesh.size("pp") > 1 or self.schedule != "1f1b":
            self._check_pipeline()

    @property
    def shards(self) -> int:
        """The ranks along the axes dp and cp together: over them parameters are sharded, or replicated."""
        return self.mesh.size("dp") * self.mesh.size("cp")

    @property
    def stages_per_rank(self) -> int:
        """The stages of the pipeline that a rank holds: 1, or more with an interleaved schedule."""
        match = _INTERLEAVED.fullmatch(self.schedule)
        return int(match[1] or _DEFAULT_CHUNKS) if match else 1

    @property
    def stages(self) -> int:
        """The stages of the pipeline."""
        return self.mesh.size("pp") * self.stages_per_rank

    @property
    def schedule_class(self) -> str:
        """The name of the schedule's class."""
        return SCHEDULES[self.schedule.partition(":")[0]]

    def _check_data_parallel(self) -> None:
        needed = _NEEDS.get(self.data_parallel, ())
        present = {"dp" if axis == "cp" else axis for axis, _ in self.mesh.sizes}
        lacking = [axis for axis in needed if axis not in present]
        if lacking:
            example = ",".join(f"{axis}=2" for axis in needed)
            msg = f"--{self.data_parallel} needs the axis {lacking[0]} in the mesh, such as --mesh {example}"
            raise InputError(msg)
        for axis in ("replicate", "dp"):
            if self.mesh.size(axis) > 1 and axis not in needed:
                way = "--hsdp" if axis == "replicate" else "--fsdp, --ddp or --hsdp"
                msg = f"the mesh has the axis {axis}={self.mesh.size(axis)}; say how it is used with {way}"
                raise InputError(msg)
        if self.mesh.size("cp") > 1 and not needed:
            msg = (
                f"ranks that share a sequence (cp={self.mesh.size('cp')}) have the same parameters; say how they are "
                "kept with --fsdp, --ddp or --hsdp"
            )
            raise InputError(msg)

    def _check_experts(self) -> None:
        count = self.expert_parallel
        if count < 1:
            msg = f"--expert-parallel is {count}; write over how many ranks experts are divided, 1 or more"
            raise InputError(msg)
        if count == 1:
            return
        tp = self.mesh.size("tp")
        if self.shards * tp % count:
            whence = "·".join(axis for axis in ("dp", "cp", "tp") if axis in dict(self.mesh.sizes)) or "dp"
            ranks = f"{whence}={self.shards * tp}"
            msg = f"--expert-parallel {count} takes its ranks from {ranks}, which does not divide by it"
            raise InputError(msg)
        if count % tp:
            msg = (
                f"--expert-parallel {count} must be a multiple of tp={tp}: ranks of the axis tp have different experts"
            )
            raise InputError(msg)
        if self.data_parallel == "ddp":
            msg = "--ddp reduces every gradient over the axis dp, and experts differ along it; use --fsdp or --hsdp"
            raise InputError(msg)

    def _check_pipeline(self) -> None:
        if self.schedule.partition(":")[0] not in SCHEDULES or (":" in self.schedule and self.stages_per_rank == 1):
            msg = f"no schedule {quoted(self.schedule)}; write gpipe, 1f1b or interleaved:CHUNKS"
            raise InputError(msg)
        if self.mesh.size("pp") == 1:
            msg = "--schedule orders the stages of a pipeline; add the axis pp, such as --mesh pp=4"
            raise InputError(msg)
        if self.data_parallel == "ddp":
            msg = "--ddp does not go with the axis pp: the schedules of torch divide parameters with --fsdp or --hsdp"
            raise InputError(msg)
        if self.schedule == "1f1b" and self.microbatches < self.stages:
            msg = (
                f"1f1b keeps all {self.stages} stages busy only with as many microbatches; "
                f"set --microbatches {self.stages} or more"
            )
            raise InputError(msg)
        if self.stages_per_rank > 1 and self.microbatches % self.mesh.size("pp"):
            msg = (
                f"an interleaved schedule runs microbatches in rounds of pp={self.mesh.size('pp')}, and "
                f"{self.microbatches} do not divide; set --microbatches to a multiple"
            )
            raise InputError(msg)

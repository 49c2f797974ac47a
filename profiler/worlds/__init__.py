"""Ranks of a world that this machine does not have: any mesh of devices, traced in one process per role.

A rank runs the real PyTorch code of its parallelism (DDP, FSDP2, DTensor, pipeline schedules) on tensors without
memory, in a process group without other processes. What it computes, holds and exchanges is what a rank of a real run
does, because the shapes on a rank do not depend on the values that others send.
"""

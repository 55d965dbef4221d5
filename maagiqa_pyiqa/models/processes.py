"""Training in several processes: joining them, and what each must know of the others'.

A single process is the case of a world of one: nothing here needs to be asked for first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from maagiqa_pyiqa.support.errors import InputError

LAUNCHERS = ("none", "pytorch", "slurm")
Item = TypeVar("Item")


def default_launcher() -> str:
    """``pytorch`` inside ``torchrun``, which tells its processes who they are; else ``none``."""
    return "pytorch" if dist.is_torchelastic_launched() else "none"


@contextlib.contextmanager
def joined_processes(launcher: str, num_gpu: int) -> Iterator[None]:
    """Join the other processes of a run while the block lasts: by nccl on GPUs, by gloo on CPUs.

    Raises:
        ValueError: the launcher did not start this process.
    """
    if launcher == "none":
        yield
        return
    if launcher == "slurm":
        from pyiqa.utils.dist_util import init_dist

        init_dist("slurm")
    else:
        _join_of_torchrun(num_gpu)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _join_of_torchrun(num_gpu: int) -> None:
    if "RANK" not in os.environ:
        raise InputError(
            "--launcher pytorch: this process was not started by torchrun; say: torchrun --nproc_per_node=2 "
            "-m maagiqa_pyiqa.cli.main train -opt ..."
        )
    if num_gpu == 0:
        dist.init_process_group("gloo")
        return
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("nccl")


def rank() -> int:
    """Which of the processes this one is."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def of_first_process(value: Item) -> Item:
    """The value that the first process has."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def of_all_processes(value: Item) -> list[Item]:
    """The value of each process, by rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def any_process(condition: bool, device: torch.device) -> bool:
    """Whether a condition holds in one process at least."""
    if world_size() == 1:
        return condition
    holds = torch.tensor(float(condition), device=device)
    dist.all_reduce(holds, dist.ReduceOp.MAX)
    return bool(holds)


def whole_batch(own: torch.Tensor) -> torch.Tensor:
    """What all processes have of a batch, ordered as one process has it, with the gradient of this one's share.

    A loss over it is that of the whole batch, also where it is no mean over images, as PLCC is not. Each process then
    has its share of the gradient, and DistributedDataParallel takes the mean over processes where the sum is wanted:
    scale by ``world_size()``.

    Args:
        own: this process's share (n, 1), as long in all of them.
    """
    if world_size() == 1:
        return own
    shares = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(shares, own.detach().contiguous())
    shares[rank()] = own
    return torch.stack(shares, dim=1).flatten(0, 1)  # (n, processes, 1) to (n * processes, 1), as one process has it

"""The processes that train together: who they are, and what they tell each other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sista.errors import SistaError
from sista.models.precision import choose_device
from sista.training.gather import gather_rows, share_of

PATIENCE = timedelta(hours=1)  # the first process may be computing a teacher's vectors, or writing to a slow disk
LAST_TENSORS = 0.5  # seconds in which gloo's threads let go of them: one that has yet to when Python ends aborts the process
BUCKET = 2**24  # numbers of the gradient that travel together
LOST = ("closed", "reset by peer", "broken pipe", "timed out", "timeout", "connect", "aborted", "remote process")  # words of torch's errors


@dataclass(frozen=True)
class Processes:
    """This process is number `rank` of `world`, and number `local_rank` on its machine. One alone talks to nobody."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes logs and checkpoints."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """This process's share of `total` rows."""
        return share_of(total, self.rank, self.world)

    def gather(self, own: Tensor, total: int) -> Tensor:
        """The rows of all processes, `total` of them, by rank; with gradient (see `gather_rows`)."""
        return own if self.world == 1 else gather_rows(own, total, self.rank, self.world)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Bring the gradients to their mean over the processes: after it they are those of the whole batch, and the same everywhere.

        Every process computes the whole batch's loss, from its own films and texts and the gathered vectors of the others. What lies behind
        the gathering (temperatures, prototypes) has the same gradient everywhere, and keeps it as the mean; what lies before it, the
        encoders, has a gradient from its own rows, which `gather_rows` has made `world` times as large so that the mean is the sum.
        One mean serves all parameters, without a list of which is which. It is a plain all-reduce of flattened buckets after the backward
        pass, and not DistributedDataParallel, which wants one forward call per step, hooks that a gradient cache's second encoding would
        fire once a chunk, and buckets that know of no unused parameters.
        """
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        buckets = list(_buckets(gradients))
        flat = [torch.cat([g.reshape(-1) for g in bucket]) for bucket in buckets]
        waiting = [distributed.all_reduce(values, async_op=True) for values in flat]
        for bucket, values, work in zip(buckets, flat, waiting, strict=True):
            work.wait()
            values /= self.world
            for gradient, mean in zip(bucket, values.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(mean.view_as(gradient))

    @torch.no_grad()
    def average_norms(self, module: nn.Module) -> None:
        """Bring the running statistics of batch norms to their mean over the processes (each is an average over steps, so when is free)."""
        norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None] if self.world > 1 else []
        for norm in norms:
            for values in (norm.running_mean, norm.running_var):
                assert values is not None
                distributed.all_reduce(values)
                values /= self.world

    @torch.no_grad()
    def copy_first(self, module: nn.Module) -> None:
        """Give all processes the first one's parameters and buffers."""
        if self.world > 1:
            for values in (*module.parameters(), *module.buffers()):
                distributed.broadcast(values.data, src=0)

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What `make` gives on the first process, on all."""
        found = [make() if self.first else None]
        if self.world > 1:
            distributed.broadcast_object_list(found, src=0, device=torch.device("cpu"))
        return found[0]

    def in_turn(self, prepare: Callable[[], Any]) -> Any:
        """`prepare` on the first process of each machine, then on the others, which find on disk what it left."""
        found = prepare() if self.local_rank == 0 else None
        self.wait()
        return prepare() if self.local_rank else found

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            distributed.all_reduce(torch.zeros(1))


@contextmanager
def join(name: str) -> Iterator[tuple[Processes, torch.device]]:
    """The processes that torchrun started, joined by gloo (CPU) or NCCL (CUDA), and this one's device; one alone without torchrun.

    name: `auto`, `cpu`, `cuda`, ...; each process of a machine takes the CUDA device of its local rank. `SistaError` if there are fewer
    devices than processes, or if another process went away.
    """
    rank, world, local = (int(os.environ.get(key, default)) for key, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    device = choose_device(name)
    if world == 1 or not distributed.is_available():
        yield Processes(), device
        return
    if device.type == "cuda":
        if device.index is not None:
            raise SistaError(f"device {name!r} names one device for {world} processes; give --run.device cuda, each takes its own")
        if local >= torch.cuda.device_count():
            raise SistaError(
                f"process {local} of this machine has no CUDA device, there are {torch.cuda.device_count()}; "
                f"start torchrun with --nproc_per_node {torch.cuda.device_count()}"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    theirs = distributed.is_initialized()
    try:
        if not theirs:
            distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        yield Processes(rank, world, local), device
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and not any(word in str(error).lower() for word in LOST):
            raise
        raise SistaError(
            f"process {rank} of {world} lost the others ({str(error).splitlines()[0]}): one of them failed, and says why; "
            "then give the same command again, it goes on from the last checkpoint"
        ) from error
    if not theirs:
        time.sleep(LAST_TENSORS)
        distributed.destroy_process_group()


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of one kind of numbers, in order, until a bucket is full."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        full = sum(g.numel() for g in bucket) + gradient.numel() > BUCKET
        if bucket and (full or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket

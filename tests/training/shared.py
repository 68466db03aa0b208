"""The gradient of one step, however its batch is shared or cut; `torchrun shared.py CORPUS OUT` writes it for every method."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, distributed

from sista.corpus.corpus import Corpus
from sista.methods import METHODS, make_method, settings_of
from sista.training.fit import Fit, Plan, seed_step
from sista.training.pretrain import make_encoder
from sista.training.processes import Processes, join
from sista.training.settings import AugmentSettings, ModelSettings, OptimizerSettings, RunSettings

MODEL = ModelSettings(
    image_encoder="test_vit", dim=32, dropout=0.0
)  # without batch norm and dropout: nothing depends on the parts of a batch
PAIRS = 24  # of a batch
ALONE = Processes()


def make_fit(
    corpus: Corpus,
    method: str,
    model: ModelSettings = MODEL,
    processes: Processes = ALONE,
    chunk: int = 0,
    settings: dict[str, Any] | None = None,
    **run: Any,
) -> Fit:
    """A run that is about to begin, in fp32."""
    torch.manual_seed(0)
    learner = make_method(method, make_encoder(corpus, model, corpus.size), corpus.teacher("labels"), settings_of(method, settings or {}))
    plan = Plan(
        out=Path("nowhere"), steps=20, teacher="labels", image_size=corpus.size, precision="fp32", device=torch.device("cpu"),
        optimizer=OptimizerSettings(batch_size=PAIRS, chunk=chunk), augment=AugmentSettings(shorten=0.2), run=RunSettings(**run),
        checkpointing=model.checkpointing,
    )  # fmt: skip
    return Fit(corpus, learner, plan, processes)


def gradients(fit: Fit, step: int = 3) -> dict[str, Tensor]:
    """The loss of a step and the gradient of every parameter that has one."""
    fit.learner.train()
    result = fit.forward(next(fit._loader().batches(step)), seed_step(0, step, torch.device("cpu")), statistics=False)
    fit.backward(result.loss)
    fit.processes.average_gradients(fit.learner.parameters())
    found = {name: p.grad.contiguous() for name, p in fit.learner.named_parameters() if p.grad is not None}
    return {"loss": result.loss.detach(), **found}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Loss and gradients differ by at most `tolerance` of themselves, or of the largest gradient."""
    assert set(one) == set(other)
    largest = max(float(values.abs().max()) for name, values in other.items() if name != "loss")
    assert largest > 1e-3
    for name, values in other.items():
        torch.testing.assert_close(
            one[name], values, rtol=tolerance, atol=tolerance * largest, msg=lambda text, name=name: f"{name}: {text}"
        )


def torchrun(world: int, *arguments: object, restarts: int = 0) -> list[str]:
    """The command that starts `world` processes on this machine."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(world), "--max-restarts", str(restarts),
        *map(str, arguments),
    ]  # fmt: skip


def shared_gradients(world: int, corpus: Path, out: Path) -> None:
    """Run this file in `world` processes."""
    done = subprocess.run(torchrun(world, __file__, corpus, out), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


def environment() -> dict[str, str]:
    """One thread each."""
    import os

    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def main(path: str, out: str) -> None:
    """Write `OUT/METHOD.safetensors` for each method, and with chunks for one; all processes must agree to the last bit."""
    corpus = Corpus.open(path)
    with join("cpu") as (processes, _):
        for name, method, chunk in [*((method, method, 0) for method in METHODS), ("chunks", "sista", 4)]:
            found = gradients(make_fit(corpus, method, processes=processes, chunk=chunk))
            summed = torch.stack([values.double().abs().sum() for values in found.values()])
            everywhere = [torch.empty_like(summed) for _ in range(processes.world)]
            distributed.all_gather(everywhere, summed)
            assert all(torch.equal(summed, other) for other in everywhere), name
            if processes.first:
                save_file(found, Path(out) / f"{name}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])

"""The loop: batches in, optimiser steps, log, evaluation, checkpoints."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.corpus.disk import write_json
from sista.corpus.films.augmentation import augment, eval_view
from sista.corpus.loader import PairLoader
from sista.errors import SistaError
from sista.methods.method import Method, StepResult
from sista.models.passage import Passage
from sista.models.precision import autocast
from sista.training.batch_norms import kept_statistics
from sista.training.finite import FiniteWatch
from sista.training.log import RunLog
from sista.training.processes import Processes
from sista.training.progress import StepProgress
from sista.training.schedule import warmup_cosine
from sista.training.settings import AugmentSettings, OptimizerSettings, RunSettings
from sista.training.state import checkpoints, load_checkpoint, save_checkpoint
from sista.training.validation import validate


@dataclass(frozen=True)
class Plan:
    """All that a run has settled before its first step."""

    out: Path
    steps: int
    teacher: str
    image_size: int
    precision: str
    device: torch.device
    optimizer: OptimizerSettings
    augment: AugmentSettings
    run: RunSettings
    checkpointing: bool = False

    @property
    def pairs(self) -> int:
        """Pairs seen in one optimiser step."""
        return self.optimizer.batch_size * self.optimizer.accumulate


class Fit:
    """Trains `learner` on a corpus' training pairs by a plan, alone or with other processes, of which the first writes what is written."""

    def __init__(self, corpus: Corpus, learner: Method, plan: Plan, processes: Processes = Processes()) -> None:  # noqa: B008  frozen
        self.corpus, self.learner, self.plan, self.processes = corpus, learner, plan, processes
        self.passage = Passage(plan.optimizer.chunk, processes if processes.world > 1 else None)
        self.optimizer = _adamw(learner, plan.optimizer)
        self.watch = FiniteWatch(plan.device)
        self.log = RunLog(plan.out, plan.run.tensorboard and processes.first)
        self.folder = plan.out / "checkpoints"
        self.seconds = 0.0  # spent in training steps, over all resumptions

    def run(self) -> dict[str, float]:
        """Train from the last checkpoint, or the start, to the end; the numbers of the last step."""
        plan, every, first = self.plan, self.plan.run, self.processes.first
        start, row = self._resume()
        if not plan.steps and first:  # of 0 epochs; what lies outside the encoders is kept in checkpoints alone
            save_checkpoint(self.folder, 0, self.learner, self.optimizer, {"seconds": 0.0, "row": {}})
        batches = self._loader().batches(start * plan.optimizer.accumulate, plan.steps * plan.optimizer.accumulate)
        with StepProgress(plan.steps, start, plan.pairs, show=every.progress and first) as progress:
            for step in range(start, plan.steps):
                begin = time.perf_counter()
                done = step + 1
                often = every.log_every, every.evaluate_every, every.checkpoint_every
                logged, evaluated, kept = (self._due(done, each) for each in often)
                logged |= done == 1
                row = self.step(step, [next(batches) for _ in range(plan.optimizer.accumulate)], logged)
                if logged or evaluated or kept:
                    self._require_finite()
                if evaluated or kept:
                    self._require_finite_weights(done)
                self.seconds += time.perf_counter() - begin
                if evaluated or kept:
                    self.processes.average_norms(self.learner.encoder)
                if evaluated and first:
                    row |= self.evaluate()
                if row and first:
                    self.log.write({"step": done, **row})
                if kept and first:
                    save_checkpoint(self.folder, done, self.learner, self.optimizer, {"seconds": self.seconds, "row": row})
                progress.advance(row.get("loss"))
        self.log.close()
        return row

    def step(self, step: int, batches: list[Batch], logged: bool) -> dict[str, float]:
        """One optimiser step; its numbers when `logged`. Otherwise nothing in it waits for the device."""
        plan = self.plan
        generator = seed_step(plan.run.seed, step, plan.device)
        rate = plan.optimizer.learning_rate * warmup_cosine(step, plan.steps, plan.optimizer.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.learner.train()
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=plan.device)
        numbers: dict[str, Tensor] = {}  # means over the batches of the step
        for batch in batches:
            result = self.forward(batch.to(plan.device), generator, statistics=logged)
            self.backward(result.loss / len(batches))
            total = total + result.loss.detach()
            for name, value in {"loss": result.loss, **result.terms, **result.statistics}.items() if logged else ():
                numbers[name] = numbers.get(name, 0.0) + value.detach().double() / len(batches)
        self.processes.average_gradients(self.learner.parameters())
        norm = nn.utils.clip_grad_norm_(self.learner.parameters(), plan.optimizer.clip)
        self.watch.note(step, total, norm)
        setattr(self.optimizer, "found_inf", self.watch.found)  # noqa: B010  what the fused kernel reads: where it is 1 nothing is changed
        self.optimizer.step()
        if not logged:
            return {}
        numbers["gradient_norm"] = norm.detach().double()
        values = torch.stack([*numbers.values()]).tolist()  # one transfer
        speed = {"seconds": self.seconds} if self.seconds else {}
        return {"learning_rate": rate, **dict(zip(numbers, values, strict=True)), **speed}

    def forward(self, batch: Batch, generator: torch.Generator, statistics: bool) -> StepResult:
        """Augment this process's films and apply the method to the whole batch, in the run's precision."""
        own = self.processes.share(len(batch))
        images = augment(batch.images, self.plan.image_size, self.plan.augment, generator, own.start, len(batch))
        with autocast(self.plan.precision, self.plan.device), self.learner.encoder.passing(self.passage):
            return self.learner(batch, images.contiguous(memory_format=torch.channels_last), generator, statistics)

    def backward(self, loss: Tensor) -> None:
        """Add to the gradients. Where activations are computed a second time, batch norms take them in only once."""
        again = self.plan.optimizer.chunk > 0 or self.plan.checkpointing
        with kept_statistics(self.learner) if again else nullcontext():
            loss.backward()

    def evaluate(self) -> dict[str, float]:
        """Scores on the valid split, each named `valid_...`; none when it has fewer than two pairs."""
        plan = self.plan
        rows = self.corpus.rows("valid")[: plan.run.evaluation_pairs]
        return validate(self.corpus, self.learner, rows, plan.teacher, lambda x: eval_view(x, plan.image_size), plan.precision, plan.device)

    def _loader(self) -> PairLoader:
        plan = self.plan
        return PairLoader(
            self.corpus,
            self.corpus.rows("train"),
            batch_size=plan.optimizer.batch_size,
            teacher=plan.teacher,
            seed=plan.run.seed,
            shuffle_sentences=plan.augment.shuffle_sentences,
            shorten=plan.augment.shorten,
            rank=self.processes.rank,
            world=self.processes.world,
            threads=0 if plan.device.type == "cpu" else 2,  # where the encoders need all cores, reading ahead only gets in their way
            pin=plan.device.type == "cuda",
        )

    def _resume(self) -> tuple[int, dict[str, float]]:
        found = self.processes.from_first(lambda: checkpoints(self.folder))
        state: dict[str, Any] = {"step": 0, "seconds": 0.0, "row": {}}
        if found:
            state = load_checkpoint(found[-1], self.learner, self.optimizer)
        else:
            self.processes.copy_first(self.learner)
        self.seconds = state["seconds"]
        if self.processes.first:
            self.log.rewind(state["step"])
        return state["step"], state["row"]

    def _due(self, done: int, every: int) -> bool:
        return done == self.plan.steps or (every > 0 and done % every == 0)

    def _require_finite(self) -> None:
        """Raise if a step since the start had a loss or a gradient that is not finite, and name its studies. Waits for the device."""
        found = self.watch.first()
        if found is None:
            return
        step, what = found
        accumulate, loader = self.plan.optimizer.accumulate, self._loader()
        rows = np.concatenate([loader.all_rows_of(step * accumulate + number) for number in range(accumulate)])
        studies = [str(study) for study in self.corpus.values("study_id", rows)]
        file = self.plan.out / "nonfinite.json"
        if self.processes.first:
            write_json(file, {"step": step, "what": what, "studies": studies})
        kept = checkpoints(self.folder)
        more = f" and {len(studies) - 4} more" if len(studies) > 4 else ""
        good = f"the last good checkpoint is {kept[-1]}" if kept else "no checkpoint was written before it"
        raise SistaError(
            f"the {what} is not finite at step {step} on studies {', '.join(studies[:4])}{more} (all in {file}); {good}; "
            "look at those studies, or lower --optimizer.learning_rate in a new --out"
        )

    def _require_finite_weights(self, done: int) -> None:
        """Raise if an update has spoilt a weight, before it is scored or kept. Waits for the device."""
        held = [*self.learner.parameters(), *self.learner.encoder.buffers()]  # a method's own buffers may say NaN for what they do not know
        if all(bool(torch.isfinite(value).all()) for value in held):
            return
        kept = checkpoints(self.folder)
        good = f"the last good checkpoint is {kept[-1]}" if kept else "no checkpoint was written before"
        raise SistaError(f"weights are not finite after step {done}; {good}; lower --optimizer.learning_rate in a new --out")


def seed_step(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Seed torch (dropout) and a generator of its own (augmentation, sampling), so that a step depends on no step before it."""
    number = (seed * 1_000_003 + step) % 2**62
    torch.manual_seed(number)
    return torch.Generator(device).manual_seed(number ^ 0x5157A)


def _adamw(learner: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    trained = [p for p in learner.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2), fused=True)

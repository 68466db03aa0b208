"""Whole training steps of 1, 2 and 4 processes that share the same batch: pairs a second, efficiency, and where the time goes.

    python benchmarks/scale.py --out results/scale.json
    python benchmarks/scale.py --device cuda --image vit_base_patch16_224 --batch 576 --threads 8 --out results/scale_gpu.json

Each world is started by torchrun, as a user would, and does the steps of `sista pretrain` on reports of OpenI's lengths and films of
noise: each process encodes its share, vectors are gathered with gradient, each computes the loss of the whole batch, gradients are
averaged, fused AdamW. Worlds take turns, every other round in reverse order. On a CPU each process has `--threads` threads, so that a world
of more processes than the cores allow shares them, and says so; on CUDA a world of more processes than devices is left out. `efficiency` is
pairs/s over those of the smallest world times the processes more; `average` and `optimizer` are the first process' seconds, its waiting
for others included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import torch
from measuring import facts, run_arguments, synchronise, table, write
from texts import VOCABULARY, batch_of, report_tokens

from sista.corpus.films.augmentation import eval_view
from sista.methods import make_method, settings_of
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.passage import Passage
from sista.models.precision import autocast, choose_precision
from sista.models.text_encoder import TextEncoder
from sista.training.batch_norms import synchronise as join_norms
from sista.training.processes import join

PARTS = ("encoders and loss", "average", "optimizer")


def work(given: argparse.Namespace) -> None:
    """One process of one world; the first prints seconds of each part of each step."""
    torch.set_num_threads(given.threads)
    with join(given.device) as (processes, device):
        precision = choose_precision(given.precision, device)
        torch.manual_seed(0)
        encoder = DualEncoder(ImageEncoder(given.image, image_size=given.size), TextEncoder(given.text, vocabulary=VOCABULARY))
        learner = make_method(given.method, encoder, lambda share: 0.9, settings_of(given.method, {})).to(device).train()
        learner.encoder = encoder = join_norms(encoder, device, processes.world)
        encoder.image.to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], lr=1e-6, fused=True)
        reports, _ = report_tokens(None)
        batch = batch_of(reports, given.batch, 0, given.size, device)
        own = processes.share(len(batch))
        passage = Passage(0, processes if processes.world > 1 else None)
        rows = []
        for _ in range(1 + given.steps):
            processes.wait()
            times = [_now(device)]
            images = eval_view(batch.images[own], given.size).contiguous(memory_format=torch.channels_last)
            with autocast(precision, device), encoder.passing(passage):
                result = learner(batch, images, torch.Generator(device).manual_seed(0))
            result.loss.backward()
            times.append(_now(device))
            processes.average_gradients(learner.parameters())
            times.append(_now(device))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            times.append(_now(device))
            rows.append([after - before for before, after in pairwise(times)])
        if processes.first:
            print(json.dumps({"precision": precision, "loss": float(result.loss.detach()), "steps": rows[1:]}))


def _now(device: torch.device) -> float:
    synchronise(device)
    return time.perf_counter()


def start(world: int, given: argparse.Namespace) -> dict[str, Any]:
    """One world in its own processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(world), __file__, "--worker"]
    for name in ("image", "text", "method", "size", "batch", "steps", "threads", "device", "precision"):
        command += [f"--{name}", str(getattr(given, name))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--image", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--text", default="base")
    parser.add_argument("--method", default="sista")
    parser.add_argument("--batch", type=int, default=48, help="pairs of all processes together")
    parser.add_argument("--steps", type=int, default=3, help="counted steps of a world in a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    run_arguments(parser)
    given = parser.parse_args()
    if given.worker:
        work(given)
        return
    on_gpu = given.device.startswith("cuda") or (given.device == "auto" and torch.cuda.is_available())
    worlds = [world for world in sorted(given.processes) if not on_gpu or world <= torch.cuda.device_count()]
    if not worlds:
        parser.error(f"--processes {given.processes}: there are {torch.cuda.device_count()} CUDA devices")
    found: dict[int, list[dict[str, Any]]] = {world: [] for world in worlds}
    for turn in range(given.rounds):
        for world in worlds if turn % 2 == 0 else reversed(worlds):
            found[world].append(start(world, given))
    rows = {}
    for world, runs in found.items():
        steps = [step for run in runs for step in run["steps"]]
        median = statistics.median(map(sum, steps))
        rows[world] = {
            "pairs_per_s": round(given.batch / median, 2),
            "seconds": {name: round(statistics.median(step[part] for step in steps), 4) for part, name in enumerate(PARTS)},
            "step_s": round(median, 4),
            "steps_s": [round(sum(step), 3) for step in steps],
            "loss": runs[0]["loss"],
            "shares_cores": not on_gpu and world * given.threads > (os.cpu_count() or 1),
        }
    base = rows[worlds[0]]["pairs_per_s"]
    for world, row in rows.items():
        row["efficiency"] = round(row["pairs_per_s"] / base / (world / worlds[0]), 3)
    result = {
        **facts(torch.device("cuda" if on_gpu else "cpu")),
        "encoders": f"{given.image} at {given.size} + BERT {given.text}",
        "method": given.method,
        "precision": found[worlds[0]][0]["precision"],
        "batch": given.batch,
        "threads_of_each": given.threads,
        "left_out": [world for world in given.processes if world not in worlds],
        "worlds": rows,
    }
    write(given.out, result)
    table(
        f"{result['encoders']}, {given.method}, batch {given.batch}, {result['device']}",
        ["pairs/s", "efficiency", "seconds a step", *PARTS, "more processes than cores"],
        {
            f"{world} processes": (
                row["pairs_per_s"],
                row["efficiency"],
                row["step_s"],
                *row["seconds"].values(),
                row["shares_cores"] or None,
            )
            for world, row in rows.items()
        },
    )


if __name__ == "__main__":
    main()

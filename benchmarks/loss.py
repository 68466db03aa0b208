"""The objectives alone, forward and backward, as the batch grows: seconds, peak memory, and the exponent in B.

    python benchmarks/loss.py --out results/loss.json
    python benchmarks/loss.py --device cuda --out results/loss_gpu.json

Vectors of 128 numbers, P patches, 112 words of which a report has 20 to 112, types by Zipf's law. On a CPU every case runs in a process of
its own; memory is the high-water mark of the process less what it held before the inputs were made, so it has the inputs, the loss and the
gradients of all inputs in it (`inputs_mb` is the inputs' share). On a GPU it is torch.cuda.max_memory_allocated. Exponents are fitted by
least squares on the logarithms, over all batch sizes and from 128 up. A case that would need more than --most GB by the case before it
(the square of the batch) is left out and named.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import MB, exponent, facts, table, timed, write
from torch import Tensor

from sista.models.precision import choose_device
from sista.objectives import InstanceAlignment, TokenAligner, TokenAlignment, hard_negative_pair, local_contrast, report_score_contrast
from sista.objectives.targets import identity_targets

DIM, WORDS, TEACHER = 128, 112, 256


def vectors(*shape: int, device: torch.device) -> Tensor:
    """Unit vectors that want a gradient."""
    return torch.nn.functional.normalize(torch.randn(*shape, device=device), dim=-1).requires_grad_()


def pairs(b: int, device: torch.device) -> dict[str, Any]:
    """What an instance term takes."""
    return {
        "image": vectors(b, DIM, device=device),
        "text": vectors(b, DIM, device=device),
        "teacher": vectors(b, TEACHER, device=device).detach(),
        "report_key": torch.arange(b, device=device),
    }


def tokens(b: int, p: int, device: torch.device) -> dict[str, Any]:
    """What a token term takes."""
    mask = torch.arange(WORDS, device=device)[None] < torch.randint(20, WORDS + 1, (b, 1), device=device)
    types = (torch.rand(b, WORDS, device=device) ** 4 * 2400).long() + 1
    return {
        "words": vectors(b, WORDS, DIM, device=device),
        "patches": vectors(b, p, DIM, device=device),
        "word_mask": mask,
        "word_type": types * mask,
        "word_weight": (torch.rand(b, WORDS, device=device) < 0.4).float() * mask,
    }


def instance(mode: str) -> Callable[[dict[str, Any]], Tensor]:
    alignment = InstanceAlignment(mode, 0.9, 0.9, learn_temperature=True)
    return lambda given: alignment.to(given["image"].device)(**given)[0]


def token(form: str, aligner: TokenAligner, **options: Any) -> Callable[[dict[str, Any]], Tensor]:
    alignment = TokenAlignment(form, aligner, **options)
    return lambda given: alignment(**given, diagnose=False)[0]


def hard(given: dict[str, Any]) -> Tensor:
    """FaNe's hard negatives."""
    negatives = ~torch.eye(len(given["image"]), dtype=torch.bool, device=given["image"].device)
    return hard_negative_pair(given["image"], given["text"], negatives)


def gloria(given: dict[str, Any]) -> Tensor:
    return local_contrast(given["words"], given["patches"], given["word_mask"], chunk=8)


def report_score(given: dict[str, Any]) -> Tensor:
    wanted = identity_targets(len(given["words"]), device=given["words"].device)
    return report_score_contrast(given["words"], given["patches"], given["word_mask"], wanted)


# name: (of tokens or of pairs, the loss)
TERMS: dict[str, tuple[bool, Callable[[], Callable[[dict[str, Any]], Tensor]]]] = {
    "InfoNCE (clip)": (False, lambda: instance("identity")),
    "sista, instance term": (False, lambda: instance("eliminate")),
    "pairwise sigmoid (siglip)": (False, lambda: instance("sigmoid")),
    "hard negatives (fane)": (False, lambda: hard),
    "sista, token term": (True, lambda: token("cross_film", TokenAligner(sigma=0.6), words=8, films=2)),
    "sista-paper, token term": (True, lambda: token("within", TokenAligner(sigma=None), words=None, weighted=False)),
    "mgca, token term": (
        True,
        lambda: token("within", TokenAligner("softmax"), words=None, weighted=False, mask_repeats=False, mirror=1.0),
    ),
    "gloria, local term": (True, lambda: gloria),
    "report score": (True, lambda: report_score),
}
SQUARE = ("gloria, local term", "report score")


def one(name: str, b: int, p: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """One case: median seconds of forward and backward, and peak memory."""
    of_tokens, make = TERMS[name]
    loss = make()
    torch.manual_seed(0)
    before = _start_peak(device)
    given = tokens(b, p, device) if of_tokens else pairs(b, device)
    inputs = sum(value.numel() * value.element_size() for value in given.values())

    def step() -> None:
        for value in given.values():
            value.grad = None
        loss(given).backward()

    first = timed(step, device)
    peak = (_peak(device) - before) / MB  # of the first step: what follows can only fragment
    seconds = [timed(step, device) for _ in range(rounds if first < 20 else 1)]
    return {
        "batch": b,
        "patches": p if of_tokens else None,
        "seconds": statistics.median(seconds),
        "peak_mb": peak,
        "inputs_mb": inputs / MB,
    }


def measure(name: str, p: int, given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """One term over all batch sizes."""
    rows, left_out = list[dict[str, Any]](), list[str]()
    for b in given.batch:
        if rows:
            growth = b / rows[-1]["batch"]
            needs = rows[-1]["peak_mb"] * (growth**2 if name in SQUARE or not TERMS[name][0] else growth)
            takes = rows[-1]["seconds"] * growth**2
            if needs > given.most * 1024 or (name in SQUARE and takes > given.longest):
                left_out.append(f"B {b}: some {needs / 1024:.1f} GB, {takes:.0f} s a step")
                continue
        if device.type == "cpu":
            asked = json.dumps([name, b, p, given.rounds, given.threads])
            done = subprocess.run([sys.executable, __file__, "--one", asked], capture_output=True, text=True, check=False)
            if done.returncode:
                left_out.append(f"B {b}: {(done.stderr.strip().splitlines() or [f'killed, status {done.returncode}'])[-1][:160]}")
                continue
            rows.append(json.loads(done.stdout.splitlines()[-1]))
        else:
            try:
                rows.append(one(name, b, p, given.rounds, device))
            except torch.cuda.OutOfMemoryError:
                left_out.append(f"B {b}: out of memory")
            torch.cuda.empty_cache()
    large = [row for row in rows if row["batch"] >= 128]
    return {
        "patches": p if TERMS[name][0] else None,
        "rows": [{key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()} for row in rows],
        "left_out": left_out,
        "exponent_of_seconds": exponent([r["batch"] for r in rows], [r["seconds"] for r in rows]) if len(rows) > 1 else None,
        "exponent_from_128": exponent([r["batch"] for r in large], [r["seconds"] for r in large]) if len(large) > 1 else None,
    }


def _start_peak(device: torch.device) -> float:
    """Bytes held now; the high-water mark starts here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    torch.randn(64, 64).mm(torch.randn(64, 64))  # the libraries' own buffers
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return float(line.split()[1]) * 1024


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terms", nargs="+", default=list(TERMS), metavar="TERM", help=", ".join(TERMS))
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 48, 128, 256, 512, 1024, 2048, 4096])
    parser.add_argument("--patches", type=int, nargs="+", default=[196, 361])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--most", type=float, default=8.0, help="GB")
    parser.add_argument("--longest", type=float, default=30.0, help="seconds a step, of terms that grow with the square of the batch")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, b, p, rounds, threads = json.loads(given.one)
        torch.set_num_threads(threads)
        print(json.dumps(one(name, b, p, rounds, torch.device("cpu"))))
        return
    device = choose_device(given.device)
    result: dict[str, Any] = {**facts(device), "dim": DIM, "words": WORDS, "rounds": given.rounds, "terms": {}}
    for name in given.terms:
        for p in given.patches if TERMS[name][0] else given.patches[:1]:
            title = f"{name}, P {p}" if TERMS[name][0] else name
            found = measure(name, p, given, device)
            result["terms"][title] = found
            write(given.out, result)
            fits = f"exponent {found['exponent_of_seconds']}, from 128 up {found['exponent_from_128']}"
            rows = {
                f"B {r['batch']}": (f"{r['seconds'] * 1000:.2f}", f"{r['peak_mb']:.0f}", f"{r['inputs_mb']:.0f}") for r in found["rows"]
            }
            table(f"{title}: {fits}", ["ms", "peak MB", "of it inputs"], rows)
            for line in found["left_out"]:
                print(f"left out: {line}")


if __name__ == "__main__":
    main()

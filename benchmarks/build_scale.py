"""Memory of a build (and check) of 10,000 and of 100,000 studies; the latter killed at two random times and resumed, with the same bytes.

    python benchmarks/build_scale.py --out results/build_scale.json

The archive is made of hashes: every study a film of 32 x 32 px and a report of a few sentences, no file read. The build runs as on the
command line, in a process of its own with two workers; this process samples the memory of that whole tree from /proc, five times a
second. RSS counts file pages that are mapped and could be dropped at any time (libraries, the parts of the corpus); `anonymous` is what
must stay in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.study import Film, Study

SIDE, CHUNK = 32, 512
STAGES = ("reading", "finishing", "teaching")  # the parts by workers; numbering and tokens; the TF-IDF vectors; then "checking"
SEVERITY = ("Small", "Mild", "Moderate", "Large", "Severe", "Tiny", "Subtle", "Stable")
PLACE = ("in the right lung", "in the left lung", "at the right base", "at the left base", "in the right upper lobe", "in both lungs")
FINDING = ("pleural effusion", "atelectasis", "consolidation", "pneumothorax", "nodule", "opacity", "edema", "scar", "mass", "granuloma")
FILLER = ("Heart size is normal.", "No acute bony abnormality.", "The lungs are otherwise clear.", "No pneumothorax.", "Mild scoliosis.")


@dataclass
class HashArchive:
    """`count` studies out of SHA-256 and SHAKE-256 of their number; two per subject."""

    count: int
    name: str = "hash"
    label_names: tuple[str, ...] = ("Pleural Effusion",)

    def __len__(self) -> int:
        return self.count

    def describe(self) -> dict[str, Any]:
        return {"count": self.count}

    def __getitem__(self, index: int) -> Study:
        draw = hashlib.sha256(str(index).encode()).digest()
        sentences = [
            f"{SEVERITY[draw[k] % 8]} {FINDING[draw[k + 1] % 10]} {PLACE[draw[k + 2] % 6]}, {draw[k + 3] / 10:.1f} cm." for k in (0, 4, 8)
        ]
        report = " ".join([*sentences[: 1 + draw[12] % 3], FILLER[draw[13] % 5], FILLER[draw[14] % 5]])
        pixels = np.frombuffer(hashlib.shake_256(draw).digest(SIDE * SIDE), dtype=np.uint8).reshape(SIDE, SIDE)
        label = {"Pleural Effusion": float("pleural effusion" in report)}
        return Study(f"s{index}", f"p{index // 2}", f"FINDINGS: {report}", (Film(f"f{index}", pixels, "PA"),), label)


def build(count: int, out: Path, workers: int) -> None:
    """The build itself, in a process of its own."""
    from sista.corpus.build import build_corpus  # here, so that the workers import no more than they do on the command line

    build_corpus(HashArchive(count), out, size=SIDE, workers=workers, chunk=CHUNK, progress=False)


def memory(root: int) -> tuple[dict[int, int], dict[int, int]]:
    """Kilobytes of every living process of the tree below `root`: resident, and the anonymous part of it.

    A child that has not yet become another program shares its parent's memory and is not counted.
    """
    own = (Path("/proc") / str(root) / "cmdline").read_bytes() if Path(f"/proc/{root}").exists() else b""
    parents, resident, anonymous = {}, {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            pid = int(entry.name)
            if pid != root and command == own:
                continue
            parents[pid] = int(fields["PPid"])
            resident[pid] = int(fields.get("VmRSS", "0 kB").split()[0])
            anonymous[pid] = int(fields.get("RssAnon", "0 kB").split()[0])
    tree = {root}
    for _ in range(4):
        tree |= {pid for pid, parent in parents.items() if parent in tree}
    return {pid: resident[pid] for pid in tree if pid in resident}, {pid: anonymous[pid] for pid in tree if pid in anonymous}


def start(mode: str, *values: object) -> subprocess.Popen[bytes]:
    """This script again, in a process group of its own: `--build COUNT DIR WORKERS` or `--check DIR`."""
    return subprocess.Popen([sys.executable, __file__, mode, *map(str, values)], start_new_session=True)


def watched(process: subprocess.Popen[bytes], stage_of: Callable[[], str]) -> dict[str, dict[str, float]]:
    """Peaks in MB while a process runs, by stage: of the process, of its largest child, and of all together."""
    peaks: dict[str, dict[str, float]] = {}
    while process.poll() is None:
        stage = peaks.setdefault(stage_of(), {})
        resident, anonymous = memory(process.pid)
        for suffix, found in (("", resident), ("_anonymous", anonymous)):
            others = [size for pid, size in found.items() if pid != process.pid]
            sizes = {"parent": found.get(process.pid, 0), "largest_worker": max(others, default=0), "all": sum(found.values())}
            for key, size in sizes.items():
                stage[key + suffix] = max(stage.get(key + suffix, 0.0), round(size / 1024, 1))
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}")
    return peaks


def measured(count: int, out: Path, workers: int) -> dict[str, Any]:
    """Build a corpus and check it; time and peaks of both."""

    began = time.perf_counter()
    reached: dict[str, float] = {}

    def stage() -> str:
        read = len(list((out / "studies").glob("part-*.json"))) == -(-count // CHUNK)
        name = STAGES[read + (out / "corpus.json").exists()]
        reached.setdefault(name, round(time.perf_counter() - began, 1))
        return name

    peaks = watched(start("--build", count, out, workers), stage)
    built = time.perf_counter()
    peaks |= watched(start("--check", out), lambda: "checking")
    checked = time.perf_counter() - built
    return {
        "studies": count,
        "rows": json.loads((out / "corpus.json").read_text())["rows"],
        "seconds": round(built - began, 1),
        "seconds_until": reached,
        "seconds_to_check": round(checked, 1),
        "studies_per_second": round(count / (built - began)),
        "corpus_mb": round(sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6, 1),
        "peak_mb": peaks,
    }


def content(folder: Path) -> dict[str, str]:
    """Every file of a corpus and its SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def killed_and_resumed(count: int, out: Path, workers: int, whole: Path, run: dict[str, Any], seed: int) -> dict[str, Any]:
    """Kill the build of `count` at a random time while it reads studies, its resumption at another, end it, and compare with `whole`.

    `run` says how long the unbroken build took. The second time is drawn from all of what is then left to do, and may fall anywhere.
    """
    rng, reading = random.Random(seed), run["seconds_until"]["finishing"]
    waits = [rng.uniform(0.1, 0.8) * reading]
    waits.append(rng.uniform(0.1, 0.8) * (run["seconds"] - waits[0]))
    kills = []
    for wait in waits:
        process = start("--build", count, out, workers)
        time.sleep(wait)
        finished = process.poll() is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        parts = len(list((out / "studies").glob("part-*.json"))) if (out / "studies").exists() else 0
        kills.append({"after_seconds": round(wait, 1), "parts_done": parts, "had_finished": finished})
    if start("--build", count, out, workers).wait():
        raise SystemExit("the resumed build failed")
    different = {name for name, _ in content(out).items() ^ content(whole).items()}
    return {
        "kills": kills,
        "parts": len(list((out / "studies").glob("part-*.json"))),
        "same_bytes": not different,
        "different_files": sorted(different),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the random time of the kill")
    parser.add_argument("--build", nargs=3, metavar=("COUNT", "DIR", "WORKERS"), help="only build; used by the benchmark itself")
    parser.add_argument("--check", type=Path, metavar="DIR", help="only check; used by the benchmark itself")
    arguments = parser.parse_args()
    if arguments.build:
        build(int(arguments.build[0]), Path(arguments.build[1]), int(arguments.build[2]))
        return
    if arguments.check:
        from sista.corpus.check import check

        check(arguments.check)
        return
    folder = Path(tempfile.mkdtemp(prefix="build-scale-"))
    try:
        runs = [measured(count, folder / str(count), arguments.workers) for count in arguments.counts]
        largest = runs[-1]
        cut = killed_and_resumed(
            largest["studies"], folder / "cut", arguments.workers, folder / str(largest["studies"]), largest, arguments.seed
        )
        small, large = runs[0], runs[-1]
        growth = {
            stage: {
                key: round((peak[key] - small["peak_mb"].get(stage, {}).get(key, 0)) * 1024 / (large["studies"] - small["studies"]), 2)
                for key in peak
            }
            for stage, peak in large["peak_mb"].items()
        }
        result = {
            "command": "python " + " ".join(sys.argv),
            "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "load_at_end": os.getloadavg()[0]},
            "film": f"{SIDE} x {SIDE} px",
            "workers": arguments.workers,
            "runs": runs,
            "growth_kb_per_study": growth,
            "killed_and_resumed": cut,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()

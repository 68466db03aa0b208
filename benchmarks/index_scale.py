"""The retrieval index at a million studies: time to build and search, memory, and recall against exact search.

    python benchmarks/index_scale.py --out results/index_scale.json

Vectors are synthetic: unit vectors of 128 numbers around 5,000 centres; queries are vectors moved away as far as a text lies from its film.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sista.inference.index import VectorIndex, exact_neighbours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    centres = random.standard_normal((5000, 128), dtype=np.float32)
    held = centres[random.integers(0, len(centres), given.vectors)]
    held += random.standard_normal(held.shape, dtype=np.float32)
    held /= np.linalg.norm(held, axis=1, keepdims=True)
    asked = held[random.integers(0, given.vectors, given.queries)] + 0.08 * random.standard_normal((given.queries, 128), dtype=np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    result: dict[str, Any] = {"command": " ".join(["python", *sys.argv]), "vectors": given.vectors, "width": 128, "queries": given.queries}
    result |= {
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "nice": os.nice(0),
        "faiss": version("faiss-cpu"),
        "numpy": np.__version__,
    }
    result["exact"], exact = timed(lambda: exact_neighbours(asked, held, 10))
    result["build"], index = timed(lambda: VectorIndex(held, "faiss"))
    result["faiss_search"], found = timed(lambda: index.search(asked, 10))
    result["recall_at_10"] = float(np.mean([np.isin(b, a).mean() for a, b in zip(found.rows, exact.rows, strict=True)]))
    result["same_first"] = float((found.rows[:, 0] == exact.rows[:, 0]).mean())
    result["peak_gigabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    print(json.dumps(result, indent=1))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def timed(work: Any) -> tuple[dict[str, float], Any]:
    """Wall and processor seconds of a call, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return {"seconds": round(time.perf_counter() - wall, 2), "cpu_seconds": round(time.process_time() - cpu, 2)}, found


if __name__ == "__main__":
    main()

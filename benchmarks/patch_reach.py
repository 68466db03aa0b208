"""What a patch knows of findings that it shows, and of findings that lie elsewhere on the film.

    python benchmarks/patch_reach.py --model RUN [RUN ...] --data LABELLED --out results/phantom-v1/patch_reach.json

A finding's patches are those of which, as cells of an even grid, its regions cover at least a quarter; those away from it have none of the
regions within a quarter of the film's side. (Strided convolutions look half a patch left of these cells and above: patches "on" a finding
then see less of it.) From every film with the finding one patch is drawn from either, and from films without it patches of the same places.
A linear classifier reads each of these patches alone, as the image encoder gives it (in front of the projection), and its place; it is
fitted on the train split, and told apart on the valid split: AUROC on the finding, and away from it, the mean of several draws, then of
findings. Away, 0.5 says that a patch knows of nothing but what is near; what findings have to do with each other on a film is in there,
too, so that an untrained encoder and a convolutional one are to be read beside it. Of a plain transformer the patches of its stem, its
first and its last block are asked, of others those that words look at and, where there are deeper ones of the same places, the deepest.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import facts, table, write
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import adaptive_avg_pool2d

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.inference.regions import region_area
from sista.models.checkpoint import load_pretrained
from sista.models.image_encoder import ImageEncoder

Cover = dict[str, tuple[np.ndarray, np.ndarray]]  # finding -> (on, away), boolean [N,P]
COVERED = 0.25
NEAR = 0.25
SETS = ("on", "away")


@torch.inference_mode()
def vectors_of(encoder: ImageEncoder, corpus: Corpus, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Patches [N,P,C] of films by name: of a plain transformer those of its stem, first and last block, else its own and deepest."""
    held: dict[str, list[torch.Tensor]] = {}
    for start in range(0, len(rows), 64):
        films = eval_view(corpus.films(rows[start : start + 64]), encoder.image_size)
        if encoder.plain:
            last = len(encoder.model.feature_info)
            maps = encoder.through(films, [0, last - 1], norm=True)[1]
            held.setdefault("the stem", []).append(encoder.model.patch_embed(films).flatten(1, -2))
            for name, one in zip(("block 1", f"block {last}"), maps, strict=True):
                held.setdefault(name, []).append(one.flatten(2).transpose(1, 2))
        else:
            features = encoder(films)
            held.setdefault("its own", []).append(features.patches)
            if not encoder.patches_are_deepest and features.deepest.shape[1] == features.patches.shape[1]:
                held.setdefault("the deepest", []).append(features.deepest)
    return {name: torch.cat(parts).numpy() for name, parts in held.items()}


def cover(corpus: Corpus, rows: np.ndarray, grid: tuple[int, int]) -> Cover:
    """finding -> (on, away), boolean [N,P] over `rows`."""
    found: dict[str, np.ndarray] = {}
    for number, row in enumerate(rows):
        for region in corpus.regions(int(row)):
            area = torch.from_numpy(region_area(region, corpus.size).astype(np.float32))[None]
            share = adaptive_avg_pool2d(area, grid)[0].numpy()
            held = found.setdefault(region.finding.split("/")[0], np.zeros((len(rows), *grid), dtype=np.float32))
            held[number] = np.maximum(held[number], share)
    return {name: (_flat(share >= COVERED), _away(share)) for name, share in found.items()}


def _away(share: np.ndarray) -> np.ndarray:
    touched = torch.from_numpy((share > 0).astype(np.float32))[:, None]
    steps = round(NEAR * share.shape[-1])
    near = torch.nn.functional.max_pool2d(touched, 2 * steps + 1, stride=1, padding=steps)[:, 0].numpy() > 0
    return _flat(~near & (share > 0).any(axis=(1, 2), keepdims=True))


def _flat(grid: np.ndarray) -> np.ndarray:
    return grid.reshape(len(grid), -1)


def drawn(where: np.ndarray, without: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(film, patch, truth): one patch of each film that has some in `where` [N,P], and of each film of `without` one of the same places."""
    films = np.flatnonzero(where.any(axis=1))
    places = np.array([random.choice(np.flatnonzero(where[film])) for film in films], dtype=np.int64)
    truth = np.repeat([1, 0], [len(films), len(without)])
    others = random.choice(places, size=len(without)) if len(places) else places
    return np.concatenate([films, without]), np.concatenate([places, others]), truth


def asked(covers: dict[str, Cover], labels: dict[str, np.ndarray], names: Sequence[str], least: int) -> list[str]:
    """Findings of which at least `least` films of either split have patches on and away from them, and as many lack them."""
    found = []
    for finding in sorted(set(covers["train"]) & set(covers["valid"]) & set(names)):
        films = [one.any(axis=1).sum() for held in covers.values() for one in held[finding]]
        films += [(held[:, names.index(finding)] == 0).sum() for held in labels.values()]
        if min(films) >= least:
            found.append(finding)
    return found


def reach(
    vectors: dict[str, np.ndarray], covers: dict[str, Cover], labels: dict[str, np.ndarray], names: Sequence[str], draws: int, least: int
) -> dict[str, dict[str, float]]:
    """finding -> AUROC on it and away from it, on the valid split, of those `asked`; vectors, covers and labels by split."""
    found: dict[str, dict[str, float]] = {}
    for finding in asked(covers, labels, names, least):
        without = {split: np.flatnonzero(held[:, names.index(finding)] == 0) for split, held in labels.items()}
        where = {split: held[finding] for split, held in covers.items()}
        found[finding] = {
            name: float(np.mean([_auroc(vectors, {k: v[which] for k, v in where.items()}, without, draw) for draw in range(draws)]))
            for which, name in enumerate(SETS)
        }
    return found


def _auroc(vectors: dict[str, np.ndarray], where: dict[str, np.ndarray], without: dict[str, np.ndarray], draw: int) -> float:
    """Of one draw of patches."""
    random = np.random.default_rng(draw)
    sets = {}
    for split in ("train", "valid"):
        film, place, truth = drawn(where[split], without[split], random)
        of_place = np.eye(where[split].shape[1], dtype=np.float32)[place]
        sets[split] = np.concatenate([vectors[split][film, place], of_place], axis=1), truth
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500, class_weight="balanced"))
    model.fit(*sets["train"])
    return float(roc_auc_score(sets["valid"][1], model.decision_function(sets["valid"][0])))


def main() -> None:
    """Read the arguments, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--least", type=int, default=30, help="films that a finding has patches on and away from it in, in either split")
    parser.add_argument("--draws", type=int, default=5, help="of a patch from each film")
    given = parser.parse_args()
    corpus = Corpus.open(given.data)
    rows = {split: corpus.rows(split) for split in ("train", "valid")}
    result = {**facts(torch.device("cpu")), "corpus": corpus.fingerprint, "films": {split: len(some) for split, some in rows.items()}}
    labels = {split: corpus.labels(some) for split, some in rows.items()}
    runs: dict[str, dict[str, Any]] = {}
    shown = {}
    for run in given.model:
        encoder = load_pretrained(run).encoder.image
        covers = {split: cover(corpus, some, encoder.grid) for split, some in rows.items()}
        if not asked(covers, labels, corpus.label_names, given.least):
            parser.error(
                f"{given.data}: no finding has regions on {given.least} films of either split; give another corpus, or a lower --least"
            )
        vectors = {split: vectors_of(encoder, corpus, some) for split, some in rows.items()}
        for block in vectors["train"]:
            found = reach(
                {split: held[block] for split, held in vectors.items()}, covers, labels, corpus.label_names, given.draws, given.least
            )
            means = {which: float(np.mean([one[which] for one in found.values()])) for which in SETS}
            runs.setdefault(str(run), {})[block] = {**means, "per_finding": found}
            shown[f"{run.name}, {block}"] = [len(found), *(f"{mean:.3f}" for mean in means.values())]
    table("patches of", ["findings", "AUROC on the finding", "away from it"], shown)
    write(given.out, {**result, "runs": runs})


if __name__ == "__main__":
    main()

"""Which films of a corpus are annotated with regions, and the masks of their findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import torch
from torch import Tensor

from sista.corpus.corpus import Corpus
from sista.corpus.names import plain_name
from sista.corpus.study import finding_name
from sista.errors import SistaError, nearest


@dataclass(frozen=True)
class Annotated:
    """Films whose regions are known. rows [n] of the corpus, subjects [n], splits [n], present [n,K] bool: has a region of the finding.

    left_out counts films that have no region of a finding although their label does not say that it is absent.
    """

    findings: tuple[str, ...]
    rows: np.ndarray
    subjects: np.ndarray
    splits: np.ndarray
    present: np.ndarray
    left_out: int

    def of(self, split: str) -> np.ndarray:
        """Positions [m] of the films of a split, in the order of the corpus."""
        return np.flatnonzero(self.splits == split)


def region_names(corpus: Corpus) -> list[list[str]]:
    """The findings ("mass" of "mass/left/upper") of each row's regions, read without decoding masks."""
    names: list[list[str]] = []
    for chunk in corpus.stored.column("regions").chunks:
        lengths = chunk.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        flat = [finding_name(name) for name in pc.struct_field(chunk.flatten(), "finding").to_pylist()]
        ends = np.cumsum(lengths)
        names += [flat[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return names


def annotated(corpus: Corpus, findings: Sequence[str] | None = None) -> Annotated:
    """The films of a corpus whose regions of these findings (by default all that have any) are known.

    A film without a region of a finding counts as negative when its label says so (0), or when the corpus has no label of that name. Where
    the label is present, uncertain or unknown, nobody drew what may be there, and the film is left out and counted.
    Raises SistaError for a corpus without regions, an unknown finding, and a split that has none of a finding.
    """
    names = region_names(corpus)
    known = sorted({name for row in names for name in row})
    if not known:
        raise SistaError(f"corpus {corpus.path} has no regions; build it from an archive with boxes or masks")
    chosen = tuple(dict.fromkeys(findings)) if findings else tuple(known)
    for name in chosen:
        if name not in known:
            raise SistaError(f"corpus {corpus.path} has no region of {name!r}: {nearest(name, known)}")
    present = np.array([[name in row for name in chosen] for row in names], dtype=bool)
    absent, plain = np.ones_like(present), [plain_name(label) for label in corpus.label_names]
    for column, name in enumerate(chosen):
        if plain_name(name) in plain:  # where several are spelled alike, the label of exactly this name if there is one
            exact = name in corpus.label_names
            label = corpus.label_names.index(name) if exact else plain.index(plain_name(name))
            absent[:, column] = corpus.labels()[:, label] == 0
    rows = np.flatnonzero((present | absent).all(axis=1))
    result = Annotated(
        findings=chosen,
        rows=rows,
        subjects=corpus.values("subject_id", rows),
        splits=corpus.values("split", rows),
        present=present[rows],
        left_out=len(present) - len(rows),
    )
    for split in ("train", "valid", "test"):
        lacking = [name for name, any_ in zip(chosen, result.present[result.of(split)].any(axis=0), strict=True) if not any_]
        if lacking:
            raise SistaError(
                f"corpus {corpus.path}: split {split!r} has no annotated film with {', '.join(lacking)}; choose other --findings, "
                "or build with larger --fractions"
            )
    return result


def region_masks(corpus: Corpus, rows: np.ndarray, findings: Sequence[str]) -> Tensor:
    """Masks bool [B,K,S,S] on the films' square: the union of a finding's regions, boxes filled where they have no mask (as RSNA)."""
    masks = torch.zeros(len(rows), len(findings), corpus.size, corpus.size, dtype=torch.bool)
    for of_film, row in zip(masks, rows, strict=True):
        for region in corpus.regions(int(row)):
            name = region.name
            if name not in findings:
                continue
            target = of_film[findings.index(name)]
            if region.mask is not None:
                target |= torch.from_numpy(region.mask)
            else:
                left, top = max(0, round(region.x)), max(0, round(region.y))
                right, bottom = max(left + 1, round(region.x + region.width)), max(top + 1, round(region.y + region.height))
                target[top:bottom, left:right] = True
    return masks


def pixel_shares(corpus: Corpus, rows: np.ndarray, findings: Sequence[str], batch: int = 32) -> Tensor:
    """Share of the pixels that lie in a finding's masks, of the films that show it, [K]; of all films where none does.

    As if one pixel more lay in the masks and one more beside them, so that it is within (0, 1).
    """
    inside, showing = torch.zeros(2, len(findings), dtype=torch.float64)
    for start in range(0, len(rows), batch):
        pixels = region_masks(corpus, rows[start : start + batch], findings).sum(dim=(2, 3))
        inside += pixels.sum(dim=0)
        showing += (pixels > 0).sum(dim=0)
    films = torch.where(showing > 0, showing, len(rows))
    return (inside + 1) / (films * corpus.size**2 + 2)


def require_share_of_negatives(negatives: float | None) -> None:
    """SistaError for what is no multiple of the films with a region."""
    if negatives is not None and not 0 <= negatives < math.inf:
        raise SistaError(f"--negatives is {negatives:g}; expected 0 or more films without a region for each that has one")


def training_positions(data: Annotated, chosen: np.ndarray, negatives: float | None, seed: Sequence[int]) -> np.ndarray:
    """Of the chosen positions, all with a region and at most `negatives` times as many without (None: all), ascending."""
    require_share_of_negatives(negatives)
    positive = data.present[chosen].any(axis=1)
    if negatives is None or positive.all():
        return chosen
    without = chosen[~positive]
    keep = min(len(without), round(negatives * int(positive.sum())))
    taken = np.random.default_rng(list(seed)).permutation(without)[:keep]
    return np.sort(np.concatenate([chosen[positive], taken]))

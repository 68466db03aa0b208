"""Which pairs of a batch are positives, which are negatives, and how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sista.errors import SistaError, nearest


@dataclass(frozen=True)
class Targets:
    """What a contrastive loss wants of B rows against M columns; no gradient flows into it.

    weights  Y [B,M] >= 0, rows sum to 1: how much column j is a positive of row i
    allowed  A [B,M] in [0,1]: the weight of column k in the denominators of row i

    Rows may be a slice of the columns (one process's share of a gathered batch): `own` in the builders is then the column of each
    row's own pair; by default column i for row i.
    """

    weights: Float[Tensor, "b m"]
    allowed: Float[Tensor, "b m"]

    @property
    def positives(self) -> Bool[Tensor, "b m"]:
        return self.weights > 0

    @property
    def negatives(self) -> Bool[Tensor, "b m"]:
        return (self.allowed > 0) & ~self.positives


def own_pairs(rows: int, columns: int, own: Int[Tensor, " b"] | None = None, device: torch.device | str | None = None) -> Tensor:
    """[rows, columns] bool, True at each row's own pair."""
    if own is None:
        own = torch.arange(rows, device=device)
    return torch.arange(columns, device=own.device)[None, :] == own[:, None]


def identity_targets(
    n: int,
    columns: int | None = None,
    own: Int[Tensor, " b"] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Targets:
    """Y = I, A = 1: only the own pair is a positive, all others are negatives (InfoNCE; ConVIRT, CLIP)."""
    weights = own_pairs(n, n if columns is None else columns, own, device).to(dtype)
    return Targets(weights, torch.ones_like(weights))


def eliminate_targets(
    similarity: Float[Tensor, "b m"],
    theta_n: float,
    own: Int[Tensor, " b"] | None = None,
    same: Bool[Tensor, "b m"] | None = None,
) -> Targets:
    """Y = I, A = 1 for the own pair and where S_ij < theta_n: alike reports leave the denominator (IFND's elimination).

    `same` marks pairs that are never negatives whatever the cut-off (one study, one report text).
    """
    mine = own_pairs(similarity.shape[0], similarity.shape[1], own, similarity.device)
    negatives = similarity < theta_n
    if same is not None:
        negatives = negatives & ~same
    return Targets(mine.to(similarity.dtype), (negatives | mine).to(similarity.dtype))


def triage_targets(
    similarity: Float[Tensor, "b m"],
    theta_p: float,
    theta_n: float,
    own: Int[Tensor, " b"] | None = None,
    same: Bool[Tensor, "b m"] | None = None,
) -> Targets:
    """Three bands (SAT): positives S_ij >= theta_p, negatives S_ij < theta_n, between them ignored.

    Y is uniform over P(i) = {i} + {j : S_ij >= theta_p}; A = 1 on N(i) = {j : S_ij < theta_n}, 0 elsewhere: a positive meets the
    negatives only. `same` marks pairs that are positives whatever the cut-off. `SistaError` if theta_n > theta_p.
    """
    if theta_n > theta_p:
        raise SistaError(f"triage: theta_n {theta_n:g} lies above theta_p {theta_p:g}; a pair could be both: lower theta_n")
    positives = _positives(similarity, theta_p, own, same)
    negatives = (similarity < theta_n) & ~positives
    return Targets(_uniform(positives, similarity.dtype), negatives.to(similarity.dtype))


def soft_targets(similarity: Float[Tensor, "b m"], beta: float, tau_s: float, own: Int[Tensor, " b"] | None = None) -> Targets:
    """Y = (1 - beta) I + beta softmax(S / tau_s) over the columns, A = 1 (MedCLIP, IMITATE)."""
    mine = own_pairs(similarity.shape[0], similarity.shape[1], own, similarity.device).to(similarity.dtype)
    weights = (1.0 - beta) * mine + beta * torch.softmax(similarity.detach() / tau_s, dim=1)
    return Targets(weights, torch.ones_like(weights))


def sigmoid_targets(
    similarity: Float[Tensor, "b m"],
    theta_p: float,
    own: Int[Tensor, " b"] | None = None,
    same: Bool[Tensor, "b m"] | None = None,
) -> Targets:
    """Positives P(i) = {i} + {j : S_ij >= theta_p}, all others negatives: `sigmoid_signs` in the form of Targets, for the log."""
    positives = _positives(similarity, theta_p, own, same)
    return Targets(_uniform(positives, similarity.dtype), (~positives).to(similarity.dtype))


def sigmoid_signs(
    similarity: Float[Tensor, "b m"],
    theta_p: float,
    own: Int[Tensor, " b"] | None = None,
    same: Bool[Tensor, "b m"] | None = None,
) -> Float[Tensor, "b m"]:
    """h_ij = +1 on P(i) = {i} + {j : S_ij >= theta_p}, -1 elsewhere (SigLIP with FaNe's positives)."""
    return _positives(similarity, theta_p, own, same).to(similarity.dtype) * 2 - 1


def _positives(similarity: Tensor, theta_p: float, own: Tensor | None, same: Tensor | None) -> Tensor:
    positives = (similarity >= theta_p) | own_pairs(similarity.shape[0], similarity.shape[1], own, similarity.device)
    return positives if same is None else positives | same


def _uniform(positives: Tensor, dtype: torch.dtype) -> Tensor:
    weights = positives.to(dtype)
    return weights / weights.sum(dim=1, keepdim=True)


def _identity(similarity: Float[Tensor, "b m"], own: Int[Tensor, " b"] | None = None) -> Targets:
    return identity_targets(similarity.shape[0], similarity.shape[1], own, similarity.device, similarity.dtype)


MODES: dict[str, Callable[..., Targets]] = {
    "identity": _identity,
    "eliminate": eliminate_targets,
    "triage": triage_targets,
    "soft": soft_targets,
    "sigmoid": sigmoid_targets,
}

# the settings that each mode reads
SETTINGS: dict[str, tuple[str, ...]] = {
    "identity": (),
    "eliminate": ("theta_n", "same"),
    "triage": ("theta_p", "theta_n", "same"),
    "soft": ("beta", "tau_s"),
    "sigmoid": ("theta_p", "same"),
}


def make_targets(
    mode: str,
    similarity: Float[Tensor, "b m"],
    *,
    theta_p: float = 0.98,
    theta_n: float = 0.97,
    beta: float = 0.5,
    tau_s: float = 0.1,
    own: Int[Tensor, " b"] | None = None,
    same: Bool[Tensor, "b m"] | None = None,
) -> Targets:
    """The targets of `mode`, one of `MODES`; each mode reads only its own settings. `SistaError` for an unknown mode.

    The default cut-offs are SAT's on raw Bio_ClinicalBERT cosines; other teachers need their own (percentile calibration).
    """
    check_mode(mode)
    settings = {"theta_p": theta_p, "theta_n": theta_n, "beta": beta, "tau_s": tau_s, "same": same}
    return MODES[mode](similarity, own=own, **{name: settings[name] for name in SETTINGS[mode]})


def check_mode(mode: str) -> None:
    """`SistaError` unless `mode` is one of `MODES`."""
    if mode not in MODES:
        raise SistaError(f"unknown target mode {mode!r}: {nearest(mode, MODES)}")

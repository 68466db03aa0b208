"""SIA: films with reports, the false negatives found by the similarity of the reports."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sista.errors import SistaError
from sista.objectives.contrastive import Gather, identity, require_own, symmetric_contrast
from sista.objectives.precision import full_precision
from sista.objectives.sigmoid import pairwise_sigmoid
from sista.objectives.similarity import OffsetAverage, mark_same, remove_offset, report_similarity, same_report
from sista.objectives.targets import Targets, check_mode, make_targets, sigmoid_signs

COLDEST, WARMEST = 0.01, 1.0  # bounds of a learned temperature


class InstanceAlignment(nn.Module):
    """Semantic-aware instance alignment (SISTA, arXiv 2601.08165): report similarity -> `Targets` -> contrast.

    mode               identity, eliminate, triage, soft or sigmoid
    theta_p, theta_n   cut-offs for positives (S >= theta_p) and negatives (S < theta_n), on the teacher's scale
    beta, tau_s        soft mode: share and temperature of the softened targets
    temperature        of the logits; the start where `learn_temperature`, then clamped to [0.01, 1]
    adaptive_offset    take FaNe's running offset out of the similarity before the cut-offs apply
    bias               sigmoid mode: the learned bias at the start, in FaNe's sign (SigLIP starts at +10, FaNe at -10)
    """

    def __init__(
        self,
        mode: str = "triage",
        theta_p: float = 0.98,
        theta_n: float = 0.97,
        beta: float = 0.5,
        tau_s: float = 0.1,
        temperature: float = 0.07,
        learn_temperature: bool = False,
        adaptive_offset: bool = False,
        bias: float = 10.0,
    ) -> None:
        super().__init__()
        check_mode(mode)
        if not COLDEST <= temperature <= WARMEST:
            raise SistaError(f"temperature: got {temperature:g}; give a value from {COLDEST:g} to {WARMEST:g}")
        if mode == "soft" and not (0 <= beta <= 1 and tau_s > 0):
            raise SistaError(f"soft targets: beta is {beta:g} and tau_s {tau_s:g}; give a beta from 0 to 1 and a tau_s above 0")
        if mode == "triage" and theta_n > theta_p:
            raise SistaError(f"triage: theta_n {theta_n:g} lies above theta_p {theta_p:g}; lower theta_n")
        self.mode, self.theta_p, self.theta_n, self.beta, self.tau_s = mode, theta_p, theta_n, beta, tau_s
        log_scale = torch.tensor(math.log(1.0 / temperature))
        self.log_scale = nn.Parameter(log_scale, requires_grad=learn_temperature)
        self.offset = OffsetAverage() if adaptive_offset else None
        self.bias = nn.Parameter(torch.tensor(float(bias))) if mode == "sigmoid" else None

    @property
    def temperature(self) -> Tensor:
        """0-d; a learned one is first brought back into its bounds."""
        if self.log_scale.requires_grad:
            with torch.no_grad():
                self.log_scale.clamp_(math.log(1.0 / WARMEST), math.log(1.0 / COLDEST))
        return torch.exp(-self.log_scale)

    @full_precision
    def forward(
        self,
        image: Float[Tensor, "b d"],
        text: Float[Tensor, "b d"],
        teacher: Float[Tensor, "b r"],
        report_key: Int[Tensor, " b"],
        gather: Gather | None = None,
        own: Int[Tensor, " b"] | None = None,
    ) -> tuple[Float[Tensor, ""], Targets, Float[Tensor, "b m"]]:
        """Loss, targets [b,m] and similarity [b,m]; m = b, or all pairs of the processes with `gather`.

        With `gather` say which of the gathered columns are this process's own pairs: rank * b + arange(b). `SistaError` if not said.
        """
        gather = identity if gather is None else gather
        all_teacher, all_keys = gather(teacher), gather(report_key)
        require_own(own, len(teacher), len(all_teacher))
        similarity = report_similarity(teacher, all_teacher)
        if self.offset is not None:
            offset = self.offset.update(all_teacher) if self.training else self.offset.offset
            spread = remove_offset(similarity, offset)
            similarity = torch.where(similarity == 1.0, similarity, spread)  # in a batch told alike 1 - o is noise
        similarity = mark_same(similarity, report_key, all_keys)
        same = same_report(report_key, all_keys)
        targets = make_targets(
            self.mode,
            similarity,
            theta_p=self.theta_p,
            theta_n=self.theta_n,
            beta=self.beta,
            tau_s=self.tau_s,
            own=own,
            same=same,
        )
        if self.bias is None:
            loss = symmetric_contrast(image, text, targets, self.temperature, gather)
        else:
            signs = sigmoid_signs(similarity, self.theta_p, own, same)
            loss = pairwise_sigmoid(image @ gather(text).T, signs, 1.0 / self.temperature, self.bias)
        return loss, targets, similarity

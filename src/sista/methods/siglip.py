"""SigLIP: every film with every report is a question of its own (arXiv 2303.15343)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from sista.errors import SistaError
from sista.methods.instance_method import InstanceMethod
from sista.methods.method import Cutoff
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment

LARGEST = math.log(100.0)  # log_scale; a learned temperature stays above 0.01
NEVER = 2.0  # a cut-off that no similarity reaches: only equal reports are positives beside the own one


@dataclass(frozen=True)
class SiglipSettings:
    """SigLIP.

    Args:
        log_scale: t' at the start; similarities are multiplied by exp(t').
        bias: b at the start, in the paper's sign; far below zero, for most pairs are negatives.
    """

    log_scale: float = math.log(10.0)
    bias: float = -10.0


class Siglip(InstanceMethod):
    """L = 1/B sum_ij softplus( -h_ij ( exp(t') v_i . t_j + b ) ), h = +1 for pairs, else -1; t' and b learned (arXiv 2303.15343).

    Differences: films and reports of one study, and with equal report texts, are pairs as well; exp(t') stays within 1 to 100. Inside,
    the bias has FaNe's sign, -b.
    """

    Settings: ClassVar[type] = SiglipSettings
    settings: SiglipSettings

    def __init__(self, encoder: DualEncoder, settings: SiglipSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        if not 0 <= settings.log_scale <= LARGEST:
            raise SistaError(f"setting log_scale of method 'siglip' is {settings.log_scale:g}; give a value from 0 to {LARGEST:.4g}")
        temperature = max(math.exp(-settings.log_scale), 0.01)  # rounded
        self.instance = InstanceAlignment("sigmoid", NEVER, temperature=temperature, learn_temperature=True, bias=-settings.bias)

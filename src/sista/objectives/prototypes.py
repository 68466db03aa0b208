"""Films and reports that fall to the same prototypes, without a pair being named a negative."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sista.objectives.precision import full_precision
from sista.objectives.sinkhorn import sinkhorn


class PrototypeAlignment(nn.Module):
    """Cross-modal prototype alignment (MGCA, arXiv 2210.06044): each side predicts the other's Sinkhorn-Knopp assignment.

    L = -1/(2B) sum_i ( q(v_i) . log softmax(t_i C / T) + q(t_i) . log softmax(v_i C / T) ), q = `sinkhorn` of v_i . c_k over the batch,
    without gradient.

    dim, count    size of the embeddings and number of prototypes c_k: unit vectors, brought back to length 1 at each training batch
    epsilon       of the assignment; smaller is sharper
    iterations    of Sinkhorn-Knopp
    temperature   T, of the prediction
    freeze_steps  training batches for which the prototypes get no gradient (the release: those of the first epoch)

    All state is saved with a checkpoint: the parameter `prototypes`, and the buffer `steps`, training batches seen.
    """

    steps: Tensor

    def __init__(
        self, dim: int, count: int = 500, epsilon: float = 0.05, iterations: int = 3, temperature: float = 0.2, freeze_steps: int = 0
    ) -> None:
        super().__init__()
        self.epsilon, self.iterations, self.temperature, self.freeze_steps = epsilon, iterations, temperature, freeze_steps
        self.prototypes = nn.Parameter(F.normalize(torch.randn(count, dim), dim=1))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @full_precision
    def forward(self, image: Float[Tensor, "b d"], text: Float[Tensor, "b d"]) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Loss of L2-normalised embeddings, and `prototypes_used`: e to the entropy of the films' mean prediction, 1 to K."""
        prototypes = self._prototypes()
        image_scores, text_scores = image @ prototypes.T, text @ prototypes.T
        image_code, text_code = (sinkhorn(scores, self.epsilon, self.iterations) for scores in (image_scores, text_scores))
        image_log, text_log = ((scores / self.temperature).log_softmax(dim=1) for scores in (image_scores, text_scores))
        loss = -((image_code * text_log).sum(dim=1) + (text_code * image_log).sum(dim=1)).mean() / 2
        share = image_log.detach().exp().mean(dim=0)
        return loss, {"prototypes_used": torch.exp(-torch.xlogy(share, share).sum())}

    def _prototypes(self) -> Tensor:
        if not self.training:
            return F.normalize(self.prototypes, dim=1)
        with torch.no_grad():
            self.prototypes.copy_(F.normalize(self.prototypes, dim=1))
        frozen = self.steps < self.freeze_steps  # stays on the device
        self.steps.add_(1)
        return torch.where(frozen, self.prototypes.detach(), self.prototypes)

"""From an encoder's width to the shared space."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sista.errors import SistaError


class Projection(nn.Module):
    """Linear, or linear - norm - ReLU - linear, then L2 normalisation: [..., C] to unit vectors [..., D].

    With `hidden` 2048 and `norm` "batch" it is MGCA's global head; over patches the linear layers are its 1x1 convolutions. `norm` "layer"
    does not mix rows, so padding cannot change a result: the choice for words.
    """

    def __init__(self, width: int, dim: int, *, hidden: int = 0, norm: str = "batch") -> None:
        super().__init__()
        if norm not in ("batch", "layer"):
            raise SistaError(f"projection norm {norm!r}: choose 'batch' or 'layer'")
        self.norm: nn.Module | None = None
        if hidden:
            self.first = nn.Linear(width, hidden, bias=False)
            self.norm = nn.BatchNorm1d(hidden) if norm == "batch" else nn.LayerNorm(hidden)
        self.last = nn.Linear(hidden or width, dim)

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n d"]:
        """Unit vectors in the shared space, float32 even inside autocast."""
        if self.norm is not None:
            rows = self.first(x.flatten(0, -2))
            x = F.relu(self.norm(rows)).view(*x.shape[:-1], rows.shape[-1])
        return F.normalize(self.last(x).float(), dim=-1)

"""Rows in chunks and among processes, as an encoder sees them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.passage import Passage, own_draws
from sista.models.text_encoder import TextEncoder, _takes_whole_mask

CPU = torch.device("cpu")


@dataclass
class Half:
    """Process `rank` of two, whose other half never comes: what it would send is kept."""

    rank: int = 0
    world: int = 2
    sent: list[Tensor] = field(default_factory=list)

    def share(self, total: int) -> slice:
        return slice(self.rank * total // 2, (self.rank + 1) * total // 2)

    def gather(self, own: Tensor, total: int) -> Tensor:
        self.sent.append(own)
        return torch.cat([own, own])[:total]


@pytest.fixture
def encoder() -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(ImageEncoder("test_vit", image_size=32), TextEncoder("compact", vocabulary=50, dropout=0.0), dim=8)


def texts(rows: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    pieces = torch.randint(1, 50, (rows, 5), generator=torch.Generator().manual_seed(1))
    return pieces, torch.ones_like(pieces, dtype=torch.bool), torch.arange(5).expand(rows, -1).contiguous()


@pytest.mark.parametrize("chunk", [1, 2, 4, 6, 100])
def test_chunks_change_nothing(encoder: DualEncoder, chunk: int) -> None:
    films = torch.randn(6, 1, 32, 32)
    whole, parts = encoder.encode_images(films), None
    of_texts = encoder.encode_texts(*texts(), 3)
    with encoder.passing(Passage(chunk)):
        parts, of_parts = encoder.encode_images(films), encoder.encode_texts(*texts(), 3)
    assert encoder.passage == Passage()
    assert parts[2] == whole[2] == (2, 2)
    for one, other in zip((*parts[:2], *of_parts), (*whole[:2], *of_texts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_process_encodes_its_own_rows(encoder: DualEncoder) -> None:
    films = torch.randn(3, 1, 32, 32)
    whole = encoder.encode_texts(*texts(), 3)
    for rank in (0, 1):
        half = Half(rank)
        with encoder.passing(Passage(2, half)):
            assert encoder.encode_images(films)[1].shape == (6, 4, 8)
            assert encoder.encode_texts(*texts(), 3)[1].shape == (6, 3, 8)
        torch.testing.assert_close(half.sent[0], encoder.encode_images(films)[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(half.sent[2], whole[0][3 * rank : 3 * rank + 3], rtol=1e-5, atol=1e-6)


def test_fewer_texts_than_processes_are_encoded_by_each(encoder: DualEncoder) -> None:
    half = Half()
    with encoder.passing(Passage(0, half)):
        vectors, _ = encoder.encode_texts(*texts(1), 3)
    assert len(vectors) == 1
    assert not half.sent


def test_dropout_is_a_process_s_own_and_later_draws_are_common() -> None:
    def draws(rank: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(5)
        with own_draws(rank, CPU):
            mine = nn.functional.dropout(torch.ones(64), 0.5)
        return mine, torch.rand(4)

    (mine, after), (yours, later), (again, _) = draws(0), draws(1), draws(0)
    assert torch.equal(mine, again)
    assert not torch.equal(mine, yours)
    assert torch.equal(after, later)


def test_a_whole_mask_says_the_same_as_one_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused attention gets its mask ready-made; transformers would make the same of the mask of a text."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    encoder = TextEncoder("compact", vocabulary=50).eval()
    monkeypatch.undo()
    assert _takes_whole_mask(encoder.model.config)
    pieces, mask, _ = texts()
    mask = mask & (torch.arange(5) < torch.tensor([5, 4, 3, 2, 1, 5])[:, None])
    whole = encoder._hidden(pieces, mask)
    monkeypatch.setattr("sista.models.text_encoder._takes_whole_mask", lambda config: False)
    torch.testing.assert_close(whole[mask], encoder._hidden(pieces, mask)[mask], rtol=1e-5, atol=1e-6)

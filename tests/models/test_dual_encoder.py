"""The dual encoder: words from pieces, unit vectors, padding."""

import pytest
import torch

from sista.models.dual_encoder import DualEncoder, sum_pieces
from sista.models.image_encoder import ImageEncoder
from sista.models.projection import Projection
from sista.models.text_encoder import TextEncoder


def make(hidden: int = 0) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(ImageEncoder("sista_compact", image_size=32), TextEncoder("compact", vocabulary=50), dim=16, hidden=hidden).eval()


def test_sum_pieces_equals_a_loop() -> None:
    torch.manual_seed(0)
    pieces = torch.randn(3, 7, 4)
    word = torch.tensor([[-1, 0, 0, 1, -1, 2, -1], [-1, 0, 1, 1, 1, -1, -1], [-1, -1, -1, -1, -1, -1, -1]])
    expected = torch.zeros(3, 4, 4)
    for b in range(3):
        for t in range(7):
            if word[b, t] >= 0:
                expected[b, word[b, t]] += pieces[b, t]
    torch.testing.assert_close(sum_pieces(pieces, word, 4), expected)


def test_sum_pieces_leaves_out_words_that_were_not_asked_for() -> None:
    assert sum_pieces(torch.ones(1, 3, 2), torch.tensor([[-1, -1, -1]]), 0).shape == (1, 0, 2)


@pytest.mark.parametrize("hidden", [0, 32])
def test_unit_vectors_and_padding(hidden: int) -> None:
    encoder = make(hidden)
    images = torch.randn(2, 1, 32, 32)
    pieces = torch.tensor([[2, 7, 8, 9, 3], [2, 5, 3, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    word = torch.tensor([[-1, 0, 1, 1, -1], [-1, 0, -1, -1, -1]])
    words = torch.tensor([[True, True], [True, False]])
    e = encoder(images, pieces, mask, word, words)
    for vectors in (e.image, e.patches, e.text, e.words[words]):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))
    longer = torch.nn.functional.pad(pieces, (0, 4))
    padded = encoder(
        images,
        longer,
        torch.nn.functional.pad(mask, (0, 4)),
        torch.nn.functional.pad(word, (0, 4), value=-1),
        torch.nn.functional.pad(words, (0, 3)),
    )
    torch.testing.assert_close(padded.text, e.text, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(padded.words[:, :2][words], e.words[words], rtol=1e-4, atol=1e-5)


def test_patch_mean_is_interpolated() -> None:
    encoder = make()
    encoder.mean_patches.fill_(0.5)
    assert torch.equal(encoder.patch_mean((6, 3)), torch.full((18, 16), 0.5))


def test_projection_keeps_leading_dimensions() -> None:
    projection = Projection(8, 4, hidden=16, norm="layer")
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(projection(x)[1], projection(x[1]))

"""Packing: there and back, whatever the lengths; attention stays within each text."""

import pytest
import torch

from sista.models.packing import Packing, attend


@pytest.mark.parametrize("lengths", [[3, 1, 4, 1, 5], [2], [5, 5], [0, 3, 0, 1]])
def test_there_and_back(lengths: list[int]) -> None:
    mask = torch.arange(5)[None] < torch.tensor(lengths)[:, None]
    values = torch.randn(len(lengths), 5, 2)
    packing = Packing.of(mask)
    row = packing.pack(values)
    assert row.shape == (1, sum(lengths), 2)
    torch.testing.assert_close(packing.unpack(row), values * mask[..., None])
    assert packing.position.tolist() == [place for length in sorted(lengths) for place in range(length)]
    assert sum(len(group.slot) for group in packing.groups) == sum(lengths)
    for group in packing.groups:
        assert group.piece[group.slot].tolist() == list(range(len(group.slot)))


def test_attention_equals_each_text_alone() -> None:
    mask = torch.arange(6)[None] < torch.tensor([6, 2, 3, 5, 1])[:, None]
    packing = Packing.of(mask)
    query, key, value = given = [torch.randn(5, 6, 2, 4, requires_grad=True) for _ in range(3)]
    packed = [packing.pack(x).transpose(1, 2) for x in (query, key, value)]
    found, _ = attend(torch.nn.Identity(), *packed, None, packing=packing)
    texts = packing.unpack(found.flatten(2))
    gradients = torch.autograd.grad((texts**2).sum(), given)
    total = torch.zeros(())
    for row in range(5):
        length = int(mask[row].sum())
        q, k, v = (x[row, :length].transpose(0, 1) for x in (query, key, value))
        wanted = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        torch.testing.assert_close(texts[row, :length], wanted.transpose(0, 1).flatten(1), rtol=1e-4, atol=1e-5)
        total = total + (wanted**2).sum()
    for mine, alone in zip(gradients, torch.autograd.grad(total, given), strict=True):
        torch.testing.assert_close(mine, alone, rtol=1e-4, atol=1e-5)


def test_without_packing_it_is_plain_attention() -> None:
    query, key, value = (torch.randn(2, 3, 4, 8) for _ in range(3))
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])[:, None, None, :]
    found, _ = attend(torch.nn.Identity(), query, key, value, mask)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(found, wanted.transpose(1, 2), rtol=1e-4, atol=1e-5)

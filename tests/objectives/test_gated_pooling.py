"""FaNe's gated pooling against loops."""

import math

import numpy as np
import pytest
import torch

from sista.objectives.gated_pooling import GatedPooling, gate_sparsity
from sista.objectives.token_contrast import within_report_contrast

from .inputs import operators, random_unit


def pooling(dim=6):
    torch.manual_seed(0)
    return GatedPooling(dim).double()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def pooled_in_loops(module, sentence, film):
    """c, A and M of one sentence [d] on one film [p,d]; the gate is an MLP of the two vectors side by side."""
    state = {name: value.detach().numpy() for name, value in module.named_parameters()}
    d = len(sentence)
    q = state["query.weight"] @ sentence * math.sqrt(d) + state["query.bias"]
    first = np.concatenate([state["gate_query.weight"], state["gate_key.weight"]], axis=1)
    attention, gates, total = [], [], 0.0
    for patch in film:
        k, v = (state[f"{n}.weight"] @ patch * math.sqrt(d) + state[f"{n}.bias"] for n in ("key", "value"))
        hidden = np.maximum(first @ np.concatenate([q, k]) + state["gate_query.bias"], 0)
        gates.append(sigmoid((state["gate.weight"] @ hidden + state["gate.bias"])[0]))
        attention.append(sigmoid(q @ k * gates[-1] / math.sqrt(d)))
        total = total + attention[-1] * v
    out = state["out.0.weight"] @ total + state["out.0.bias"]
    out = (out - out.mean()) / math.sqrt(out.var() + 1e-5) * state["out.1.weight"] + state["out.1.bias"]
    return out / np.linalg.norm(out), attention, gates


def test_views_match_the_formula():
    module, sentences, patches = pooling(), random_unit(3, 4, 6), random_unit(3, 9, 6, seed=1)
    found = [x.detach().numpy() for x in module(sentences, patches)]
    for i in range(3):
        for s in range(4):
            for ours, expected in zip(found, pooled_in_loops(module, sentences[i, s].numpy(), patches[i].numpy()), strict=True):
                np.testing.assert_allclose(ours[i, s], expected, atol=1e-10)


def test_a_closed_gate_looks_everywhere_alike():
    module, sentences, patches = pooling(), random_unit(2, 4, 6), random_unit(2, 9, 6, seed=1)
    with torch.no_grad():
        module.gate.weight.zero_()
        module.gate.bias.fill_(-1e3)
    views, attention, gates = module(sentences, patches)
    assert gates.max() == 0
    assert (attention == 0.5).all()
    torch.testing.assert_close(views, views[:, :1].expand_as(views))


def test_order_of_patches_and_sentences_does_not_matter():
    module, sentences, patches = pooling(), random_unit(2, 4, 6), random_unit(2, 9, 6, seed=1)
    views = module(sentences, patches)[0]
    torch.testing.assert_close(module(sentences.flip(1), patches.roll(2, 1))[0], views.flip(1))


def test_sparsity_is_the_mean_gate_of_real_sentences():
    gates = torch.rand(4, 3, 5, dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, False, False], [False] * 3, [True, False, True]])
    expected = np.mean([gates[i][mask[i]].mean().item() for i in (0, 1, 3)])
    assert gate_sparsity(gates, mask).item() == pytest.approx(expected, abs=1e-12)
    assert gate_sparsity(gates, torch.zeros_like(mask)).item() == 0


def test_reports_of_one_sentence_are_left_out():
    module, sentences, patches = pooling(), random_unit(3, 4, 6), random_unit(3, 9, 6, seed=1)
    mask = torch.tensor([[True] * 4, [True, False, False, False], [True, True, False, False]])

    def term(rows):
        return within_report_contrast(
            module(sentences[rows], patches[rows])[0], sentences[rows], mask[rows], temperature=0.07, skip_single=True
        ).item()

    assert term([1]) == 0
    assert term([0, 1, 2]) == pytest.approx((term([0]) + term([2])) / 2, abs=1e-12)


def test_gradcheck():
    module, sentences, patches = pooling(3), random_unit(2, 2, 3).requires_grad_(), random_unit(2, 4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, p: module(s, p), (sentences, patches))


def test_bfloat16_autocast():
    torch.manual_seed(0)
    module, sentences, patches = (
        GatedPooling(6),
        random_unit(2, 3, 6, dtype=torch.float32),
        random_unit(2, 9, 6, seed=1, dtype=torch.float32),
    )
    outside = module(sentences, patches)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(sentences, patches)
        module(sentences.bfloat16(), patches.bfloat16())[0].sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


def test_the_number_of_operators_does_not_grow_with_the_batch():
    module = pooling()
    runs = [operators(lambda b=b: module(random_unit(b, 4, 6), random_unit(b, 9, 6, seed=1))[0].sum()) for b in (4, 16)]
    assert runs[0] == runs[1]

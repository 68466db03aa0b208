import sys

import numpy as np
import torch

from sista.objectives.spherical_kmeans import nearest_centroid, spherical_kmeans

from .inputs import random_unit, unit


def test_lloyd_steps_match_loops():
    points = random_unit(20, 4)
    for rounds in range(4):
        ours = spherical_kmeans(points, 3, rounds, torch.Generator().manual_seed(1)).numpy()
        start = torch.randperm(20, generator=torch.Generator().manual_seed(1))[:3]
        centroids = points[start].numpy().copy()
        for _ in range(rounds):
            label = [int(np.argmax([p @ c for c in centroids])) for p in points.numpy()]
            for k in range(3):
                mine = [p for p, which in zip(points.numpy(), label, strict=True) if which == k]
                if mine:
                    centroids[k] = sum(mine) / np.linalg.norm(sum(mine))
        np.testing.assert_allclose(ours, centroids, atol=1e-12)


def test_groups_far_apart_are_found():
    generator = torch.Generator().manual_seed(0)
    which = torch.arange(90) % 3
    points = unit(torch.eye(3, 8)[which] + 0.1 * torch.randn(90, 8, generator=generator))
    best = max(
        (spherical_kmeans(points, 3, 10, torch.Generator().manual_seed(seed)) for seed in range(5)),
        key=lambda c: (points @ c.T).amax(1).sum(),
    )
    label = nearest_centroid(points, best)
    assert all(len(label[which == k].unique()) == 1 for k in range(3))
    assert len(label.unique()) == 3


def test_a_cluster_without_points_stays_and_is_finite():
    points = random_unit(1, 4, dtype=torch.float32).repeat(6, 1)
    centroids = spherical_kmeans(points, 3, 5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(centroids, points[:3])


def test_parts_of_the_points_come_to_the_same(monkeypatch):
    points = random_unit(50, 6)
    whole = spherical_kmeans(points, 4, 6, torch.Generator().manual_seed(2))
    labels = nearest_centroid(points, whole)
    monkeypatch.setattr(sys.modules[spherical_kmeans.__module__], "POINTS", 7)
    torch.testing.assert_close(spherical_kmeans(points, 4, 6, torch.Generator().manual_seed(2)), whole)
    assert torch.equal(nearest_centroid(points, whole), labels)

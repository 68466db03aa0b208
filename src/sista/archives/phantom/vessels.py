"""The pulmonary vessels: from each hilum branches that fork twice, wander and taper."""

from __future__ import annotations

import numpy as np

from sista.archives.phantom.strokes import Canvas
from sista.archives.phantom.thorax import SIGN, Thorax

TRUNKS = 8  # per lung
NODES = 7  # per branch
FORKS = (2, 1)  # branches that leave each trunk, and each of these
# (width at the root, strength there) of a trunk, a branch and a twig
CALIBRES = ((0.0115, 0.8), (0.0085, 0.6), (0.0055, 0.4))


def _walk(
    rng: np.random.Generator, starts: np.ndarray, angles: np.ndarray, mirror: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Random walks [n, NODES, 2] from the starts, and their outward heading at each node [n, NODES]; `mirror` is -1 for the right lung."""
    headings = angles[:, None] + np.cumsum(rng.standard_normal((len(angles), NODES)) * 0.17, axis=1)
    moves = np.stack((np.cos(headings) * mirror[:, None], np.sin(headings)), axis=-1) * step[:, None, None]
    moves[:, 0] = 0
    return starts[:, None, :] + np.cumsum(moves, axis=1), headings


def _branches(thorax: Thorax, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Trunks, branches and twigs of both lungs: for each generation the paths [n, NODES, 2] and their sides (-1 right, 1 left)."""
    patient = thorax.patient
    mirror = np.repeat((SIGN["right"], SIGN["left"]), TRUNKS)
    hilum = patient.hilum + thorax.pose.lift + np.where(mirror < 0, 0.012, -0.008)
    angles = np.tile(np.linspace(-1.35, 1.45, TRUNKS), 2) + rng.standard_normal(2 * TRUNKS) * 0.12
    x = float(thorax.midline_at(patient.hilum)) + thorax.front + mirror * (patient.mediastinum + 0.012)
    starts = np.stack((x, hilum + 0.035 * np.sin(angles)), axis=-1)
    step = (0.037 - 0.008 * np.cos(angles) + 0.012 * np.maximum(np.sin(angles), 0)) * rng.uniform(0.8, 1.2, 2 * TRUNKS)
    generations = []
    for forks in (*FORKS, 0):
        paths, headings = _walk(rng, starts, angles, mirror, step)
        generations.append((paths, mirror))
        if forks:
            parent = np.repeat(np.arange(len(paths)), forks)
            leave = rng.integers(1, NODES - 2, len(parent))
            turn = rng.uniform(0.35, 0.8, len(parent)) * np.where((np.arange(len(parent)) + (forks == 1) * parent // 2) % 2, 1, -1)
            starts, angles = paths[parent, leave], headings[parent, leave] + turn
            mirror, step = mirror[parent], step[parent] * rng.uniform(0.5, 0.75, len(parent))
    return generations


def draw_vessels(thorax: Thorax, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The vessels of each lung on its window, 0..1, zero outside the air."""
    generations = _branches(thorax, rng)
    fields = {}
    for side, lung in thorax.lungs.items():
        canvas = Canvas(lung.rows, lung.cols, thorax.size)
        for (paths, mirror), (width, strength) in zip(generations[::-1], CALIBRES[::-1], strict=True):
            own = paths[mirror == lung.sign]
            canvas.lines(own[:, 3:], width * 0.6, strength * 0.6)
            canvas.lines(own[:, :4], width, strength)
        fields[side] = canvas.window().field * lung.air
    return fields

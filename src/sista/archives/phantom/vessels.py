"""The pulmonary vessels: from each hilum branches that fork twice, wander and taper."""

from __future__ import annotations

import numpy as np

from sista.archives.phantom.draws import VESSELS, generator
from sista.archives.phantom.strokes import Canvas
from sista.archives.phantom.thorax import Lung, Thorax

TRUNKS = 8  # per lung
NODES = 7  # per branch
FORKS = (2, 2)  # branches that leave each branch, per generation


def _walk(rng: np.random.Generator, starts: np.ndarray, angles: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Random walks [n, NODES, 2] that keep their heading but for small turns, and the heading at each node."""
    turns = rng.standard_normal((len(angles), NODES)) * 0.17
    headings = angles[:, None] + np.cumsum(turns, axis=1)
    moves = np.stack((np.cos(headings), np.sin(headings)), axis=-1) * step[:, None, None]
    nodes = starts[:, None, :] + np.concatenate((np.zeros_like(moves[:, :1]), np.cumsum(moves[:, :-1], axis=1)), axis=1)
    return nodes, headings


def tree(thorax: Thorax, lung: Lung) -> np.ndarray:
    """The vessels of one lung on its window, 0..1, zero outside the air."""
    patient = thorax.patient
    rng = generator(*patient.key, VESSELS, int(lung.side == "left"))
    hilum_y = patient.hilum + thorax.pose.lift + (0.012 if lung.side == "right" else -0.008)
    hilum_x = float(thorax.midline_at(hilum_y)) + lung.sign * (patient.mediastinum + 0.012) + thorax.front
    fan = np.linspace(-1.35, 1.45, TRUNKS) + rng.standard_normal(TRUNKS) * 0.12
    starts = np.stack((np.full(TRUNKS, hilum_x), hilum_y + 0.035 * np.sin(fan)), axis=-1)
    angles = fan
    length = (0.037 - 0.008 * np.cos(fan) + 0.006 * np.maximum(np.sin(fan), 0)) * rng.uniform(0.8, 1.2, TRUNKS)
    generations = []
    for forks in (*FORKS, 0):
        mirrored = np.where(lung.sign > 0, angles, np.pi - angles)
        nodes, headings = _walk(rng, starts, mirrored, length)
        generations.append(nodes)
        if forks:
            at = np.repeat(rng.integers(1, NODES - 2, len(angles)), forks) + np.tile(np.arange(forks), len(angles))
            parent = np.repeat(np.arange(len(angles)), forks)
            side = np.tile(np.linspace(-1, 1, forks), len(nodes)) * rng.uniform(0.35, 0.8, len(parent))
            starts = nodes[parent, at]
            heading = headings[parent, at] + side
            angles = np.where(lung.sign > 0, heading, np.pi - heading)
            length = length[parent] * rng.uniform(0.5, 0.72, len(parent))
    canvas = Canvas(lung.rows, lung.cols, thorax.size)
    for level in (2, 1, 0):
        width, strength = (0.0115, 0.0085, 0.0055)[level], (0.8, 0.6, 0.42)[level]
        for path in generations[level].tolist():
            canvas.line(path[3:], width * 0.6, strength * 0.55)
            canvas.line(path[:4], width, strength)
    field = canvas.window().field
    return field * np.minimum(lung.air, 1)

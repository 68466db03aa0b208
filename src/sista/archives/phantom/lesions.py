"""Diseases of lung and pleura as changes of attenuation in a window of the film, each with the mask of what it visibly changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sista.archives.phantom.draws import generator
from sista.archives.phantom.film import AIR, Body
from sista.archives.phantom.findings import Finding
from sista.archives.phantom.grid import ramp, smooth_field, span
from sista.archives.phantom.thorax import Lung, Thorax

ZONES = {"upper": (0.16, 0.34), "mid": (0.42, 0.6), "lower": (0.68, 0.86)}  # where lesions are centred: 0 apex .. 1 base
FAINT = 0.05  # a smaller change of attenuation is lost in the grain


@dataclass(frozen=True, slots=True)
class Mark:
    """What one finding adds to the attenuation of a window, float32, and where that is plain to see, bool."""

    rows: slice
    cols: slice
    change: np.ndarray
    mask: np.ndarray


def by_strength(rows: slice, cols: slice, change: np.ndarray, share: float = 0.35) -> Mark:
    """A mark whose mask is where the change reaches a share of its greatest."""
    return Mark(rows, cols, change, change > max(FAINT, share * float(change.max())))


def _centre(thorax: Thorax, finding: Finding, inner: float, outer: float) -> tuple[float, float]:
    low, high = ZONES[finding.zone]
    return thorax.place(finding.side, low + (high - low) * finding.shape[0], inner + (outer - inner) * finding.shape[1])


def _part(thorax: Thorax, lung: Lung, x: float, y: float, reach_x: float, reach_y: float) -> tuple[slice, slice, np.ndarray]:
    """The rows and columns within reach of (x, y) inside the lung's window, and the lung's air there."""
    rows, cols = span(y - reach_y, y + reach_y, thorax.size), span(x - reach_x, x + reach_x, thorax.size)
    rows = slice(max(rows.start, lung.rows.start), min(rows.stop, lung.rows.stop))
    cols = slice(max(cols.start, lung.cols.start), min(cols.stop, lung.cols.stop))
    air = lung.air[rows.start - lung.rows.start : rows.stop - lung.rows.start, cols.start - lung.cols.start : cols.stop - lung.cols.start]
    return rows, cols, air


def _grain(finding: Finding, cells: int) -> np.ndarray:
    return generator(finding.texture).standard_normal((cells, cells), dtype=np.float32)


def consolidation(body: Body, finding: Finding) -> list[Mark]:
    """Fluid in the air spaces: a patch with a ragged edge and uneven density."""
    thorax, lung = body.thorax, body.thorax.lungs[finding.side]
    x, y = _centre(thorax, finding, 0.3, 0.72)
    radius = 0.075 + 0.075 * finding.severity + 0.02 * finding.shape[2]
    a, b = radius * (0.85 + 0.3 * finding.shape[3]), radius * (0.85 + 0.3 * finding.shape[4])
    rows, cols, air = _part(thorax, lung, x, y, a * 1.25, b * 1.25)
    dx, dy = (thorax.x[:, cols] - np.float32(x)) * np.float32(1 / a), (thorax.y[rows] - np.float32(y)) * np.float32(1 / b)
    ragged = smooth_field(_grain(finding, 9), dy[:, 0] * 0.4 + 0.5, dx[0] * 0.4 + 0.5)
    shape = ramp(1.7 * (1 - dx * dx - dy * dy) + 0.75 * ragged)
    density = np.float32(AIR * (0.3 + 0.3 * finding.severity)) + np.float32(0.1) * ragged
    return [by_strength(rows, cols, shape * density * np.minimum(air * np.float32(1.2), 1))]


def effusion(body: Body, finding: Finding) -> list[Mark]:
    """Fluid in the pleural space: it hides the dome and climbs along the wall in a meniscus."""
    thorax, lung = body.thorax, body.thorax.lungs[finding.side]
    dome = thorax.domes[finding.side]
    depth = 0.012 + 0.27 * finding.severity**1.3
    out = np.clip(lung.outward * np.float32(1 / thorax.half), 0, 1.05)
    surface = (
        np.float32(dome + 0.045 - depth)
        - np.float32(0.05 + 0.07 * finding.severity + 0.03 * finding.shape[2]) * out**4
        - np.float32(0.02) * (1 - out) ** 2
    )
    y = thorax.y[lung.rows]
    under = ramp((y - surface) * 30 + 0.5)
    floor = ramp(lung.below * 45 + 1.2)
    change = under * floor * np.minimum(lung.air * np.float32(1.25), 1) * np.float32((0.7 + 0.25 * finding.severity) * AIR)
    return [by_strength(lung.rows, lung.cols, change)]


def pneumothorax(body: Body, finding: Finding) -> list[Mark]:
    """Air outside the lung: a thin pleural line, and beyond it a darker rim without vessels, widest at the apex."""
    lung = body.thorax.lungs[finding.side]
    extent = 0.5 + 0.5 * finding.severity
    rim = 0.09 + 0.3 * finding.severity
    cap = 0.09 + 0.16 * finding.severity
    height = lung.height
    gap = rim * ramp(1 - height / extent) ** 0.7 + (1 - rim) * ramp(1 - height / cap) ** 1.6
    width = np.maximum(lung.lateral - 0.06, 0.05)
    inside = (gap.astype(np.float32) - lung.across) * width.astype(np.float32)  # distance beyond the pleural line, in film shares
    open_air = ramp(lung.air * np.float32(2.5))
    there = open_air * (height < extent)
    beyond = ramp(inside * 90 + 0.5) * there
    line = ramp(1.25 - np.abs(inside) * np.float32(1 / 0.0062)) * there * (gap > 0.01)
    change = beyond * (np.float32(-0.34 - 0.16 * finding.severity) * lung.air - body.vessels[finding.side] * np.float32(0.4)) + 0.42 * line
    collapsed = ramp(-inside * 20) * ramp(1.15 - height) * lung.air * np.float32(0.12 * finding.severity)
    change = (change + collapsed).astype(np.float32)
    mask = (beyond * lung.air > 0.3) | (line > 0.6)
    return [Mark(lung.rows, lung.cols, change, mask)]


def _round(body: Body, finding: Finding, radius: float, density: float, lobes: float) -> list[Mark]:
    thorax, lung = body.thorax, body.thorax.lungs[finding.side]
    margin = radius * 1.15 / max(thorax.half - 0.07, 0.1)
    x, y = _centre(thorax, finding, 0.12 + margin, max(0.2 + margin, 0.93 - margin))
    a, b = radius * (0.9 + 0.2 * finding.shape[3]), radius * (0.9 + 0.2 * finding.shape[4])
    rows, cols, air = _part(thorax, lung, x, y, a * 1.3, b * 1.3)
    dx, dy = (thorax.x[:, cols] - np.float32(x)) * np.float32(1 / a), (thorax.y[rows] - np.float32(y)) * np.float32(1 / b)
    solid = 1 - dx * dx - dy * dy
    if lobes:
        solid = solid + np.float32(lobes) * smooth_field(_grain(finding, 7), dy[:, 0] * 0.38 + 0.5, dx[0] * 0.38 + 0.5)
    solid = np.sqrt(ramp(solid))
    return [by_strength(rows, cols, solid * np.float32(density) * np.minimum(air * np.float32(1.6), 1))]


def nodule(body: Body, finding: Finding) -> list[Mark]:
    """A small ball of soft tissue."""
    return _round(body, finding, 0.035 + 0.014 * finding.severity, 0.5 + 0.4 * finding.severity, 0.0)


def mass(body: Body, finding: Finding) -> list[Mark]:
    """A large, lobulated, dense ball."""
    return _round(body, finding, 0.068 + 0.04 * finding.severity, 0.72 + 0.35 * finding.severity, 0.22)


def atelectasis(body: Body, finding: Finding) -> list[Mark]:
    """Airless lung: two or three plates, and a haze around them."""
    thorax, lung = body.thorax, body.thorax.lungs[finding.side]
    x, y = _centre(thorax, finding, 0.38, 0.62)
    length = 0.085 + 0.05 * finding.severity
    rows, cols, air = _part(thorax, lung, x, y, length * 1.1, 0.1)
    slope = lung.sign * (0.55 * finding.shape[2] - 0.15)
    dx, dy = thorax.x[:, cols] - np.float32(x), thorax.y[rows] - np.float32(y)
    along = ramp((1 - (dx * np.float32(1 / length)) ** 2) * 3)
    tilted = dy - np.float32(slope) * dx + np.float32(2.2 * (finding.shape[3] - 0.3)) * dx * dx
    width = 0.0105 + 0.008 * finding.severity
    change = np.zeros(tilted.shape, np.float32)
    for plate in range(2 + (finding.shape[4] > 0.5)):
        offset = (plate - 0.8) * (0.034 + 0.016 * finding.shape[5])
        shift = np.float32(offset) + np.float32((finding.shape[6 + plate % 2] - 0.5) * 0.3) * dx
        profile = np.maximum(1 - ((tilted - shift) * np.float32(1 / width)) ** 2, 0)
        np.maximum(change, profile * (1.0 - 0.22 * plate), out=change)
    haze = np.maximum(1 - (dx * np.float32(0.85 / length)) ** 2 - (tilted * np.float32(1 / 0.075)) ** 2, 0)
    change = along * (change * np.float32(0.34 + 0.3 * finding.severity) + haze * np.float32(0.16 + 0.14 * finding.severity))
    return [by_strength(rows, cols, change * np.minimum(air * np.float32(1.5), 1), 0.25)]


def edema(body: Body, finding: Finding) -> list[Mark]:
    """Fluid around the hila of both lungs, fading outwards like wings; fuller vessels and short septal lines at the bases."""
    thorax = body.thorax
    hilum = thorax.patient.hilum + thorax.pose.lift + 0.03
    marks = []
    for lung in thorax.lungs.values():
        y = thorax.y[lung.rows]
        down = ((y - np.float32(hilum)) * np.float32(1 / 0.27)) ** 2
        out = (lung.outward * np.float32(1 / (0.21 + 0.09 * finding.severity))) ** 2
        wings = np.maximum(1.15 - down - out, 0)
        wings *= 1.45 - 0.45 * wings
        patchy = smooth_field(_grain(finding, 11), lung.height[:, 0].clip(0, 1), np.linspace(0, 1, lung.outward.shape[1]))
        change = wings * lung.air * (np.float32(AIR * (0.12 + 0.38 * finding.severity)) + np.float32(0.06) * patchy)
        change += body.vessels[lung.side] * np.float32(0.05 + 0.15 * finding.severity) * np.minimum(wings * 2, 1)
        septa = np.maximum(np.cos(y * np.float32(2 * math.pi / 0.026)) - 0.5, 0) * ramp(1 - np.abs(lung.height - 0.78) * 7)
        edge = ramp(1 - np.abs(lung.across - 0.1) * 12) * np.minimum(lung.air * 2, 1)
        change += (edge * septa * (0.25 + 0.3 * finding.severity)).astype(np.float32)
        marks.append(Mark(lung.rows, lung.cols, change, (wings > 0.3) & (lung.air > 0.3)))
    return marks


LESIONS: dict[str, Callable[[Body, Finding], list[Mark]]] = {
    "consolidation": consolidation,
    "pleural effusion": effusion,
    "pneumothorax": pneumothorax,
    "nodule": nodule,
    "mass": mass,
    "atelectasis": atelectasis,
    "edema": edema,
}

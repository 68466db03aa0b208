"""The shape of one chest on one film: midline, both lungs with their air, and the heart, as small windows of the film."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sista.archives.phantom.anatomy import Patient, Pose
from sista.archives.phantom.grid import axis, ramp, span

EDGE = 0.2466  # exp(-1.4): a chamber alone ends where r = 1; neighbours melt together
SIGN = {"right": -1.0, "left": 1.0}  # the patient's right is on the left of the film, as radiographs are hung


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of the film and a float32 field on it."""

    rows: slice
    cols: slice
    field: np.ndarray


@dataclass(frozen=True, slots=True)
class Lung:
    """One lung. `outward` is the distance from the midline, growing to the side; all 2-D fields are [rows, cols] of the window."""

    side: str
    sign: float
    rows: slice
    cols: slice
    height: np.ndarray  # [rows, 1] 0 at the apex, 1 at the base
    outward: np.ndarray
    across: np.ndarray  # 0 at the chest wall, 1 at the mediastinum
    lateral: np.ndarray  # [rows, 1] the chest wall, outward
    below: np.ndarray  # distance above (+) the dome of the diaphragm
    air: np.ndarray  # path through air, 0..1


class Thorax:
    """Where everything is. `enlarged` is the severity of cardiomegaly, None for a heart of the patient's own size."""

    def __init__(self, patient: Patient, pose: Pose, size: int, enlarged: float | None = None) -> None:
        self.patient, self.pose, self.size, self.enlarged = patient, pose, size, enlarged
        self.half = patient.half_width * pose.zoom
        self.peak = 0.45 * self.half  # where the apex is, outward
        self.apex = patient.apex + pose.lift
        shift = pose.lift + pose.inspiration
        self.domes = {"right": patient.dome + shift, "left": patient.dome + patient.dome_drop + shift}
        self.y = axis(size)[:, None]
        self.x = axis(size)[None, :]
        self.midline = self.midline_at(self.y).astype(np.float32)
        self.front = pose.rotation + 0.25 * pose.rotation  # how far the heart and trachea lie off the spine
        self.lungs = {side: self._lung(side) for side in SIGN}

    def midline_at(self, y: np.ndarray | float) -> np.ndarray:
        """The spine's x at height y."""
        bend = self.patient.spine_bend
        return self.pose.centre + self.pose.tilt * (y - 0.5) + bend * np.sin(4.2 * (y - 0.45) + self.patient.spine_phase)

    def lateral_at(self, y: np.ndarray | float, side: str) -> np.ndarray:
        """The inner chest wall's distance from the midline at height y."""
        half = self.half * (1 + SIGN[side] * 1.2 * self.pose.rotation)
        t = ramp((y - self.apex) / self.patient.barrel)
        wide = np.sqrt(t * (2 - t))
        tuck = np.maximum(y - (self.apex + 0.52), 0)
        return self.peak + (half - self.peak) * wide - 0.35 * tuck * tuck

    def medial_at(self, y: np.ndarray | float, side: str) -> np.ndarray:
        """The mediastinal border's distance from the midline at height y."""
        t = ramp((y - self.apex) / 0.17)
        wide = np.sqrt(t * (2 - t))
        front = SIGN[side] * self.front
        edge = self.patient.mediastinum + front - 0.018 * ramp((y - 0.5) / 0.2)
        return self.peak + (edge - self.peak) * wide

    def dome_at(self, outward: np.ndarray | float, side: str) -> np.ndarray:
        """The height of the diaphragm at a distance from the midline."""
        off = (outward - 0.17) / self.half
        bend = self.patient.dome_bend
        return self.domes[side] + bend * np.where(off > 0, 0.36 * off * off * (1 + off), 0.22 * off * off)

    def _lung(self, side: str) -> Lung:
        sign, size = SIGN[side], self.size
        rows = span(self.apex - 0.03, self.domes[side] + 0.17, size)
        far = self.half + 0.05
        near = 0.03
        centre = self.pose.centre
        low, high = sorted((centre - sign * near, centre + sign * far))
        cols = span(low, high, size)
        y = self.y[rows]
        outward = sign * (self.x[:, cols] - self.midline[rows])
        lateral = self.lateral_at(y, side).astype(np.float32)
        medial = self.medial_at(y, side).astype(np.float32)
        across = (lateral - outward) / np.maximum(lateral - medial, 1e-3)
        top = ramp((y - self.apex) * 40)
        below = self.dome_at(outward, side).astype(np.float32) - y
        profile = np.clip(across * (1 - across), 0, 0.25) * 4
        root = np.sqrt(profile)
        depth = 0.62 + 0.38 * ramp((y - self.apex) / 0.3)
        air = (0.35 * root + 0.65 * np.sqrt(root)) * (top * depth).astype(np.float32)
        air *= ramp(below * 45 + 0.3)
        base = self.domes[side] + 0.05
        return Lung(side, sign, rows, cols, (y - self.apex) / (base - self.apex), outward, across, lateral, below, air)

    def place(self, side: str, height: float, outside: float) -> tuple[float, float]:
        """The film point in a lung at a height (0 apex .. 1 base) and a share of the way from the mediastinum to the wall."""
        base = self.domes[side] + 0.05
        y = self.apex + height * (base - self.apex)
        medial, lateral = float(self.medial_at(y, side)), float(self.lateral_at(y, side))
        return float(self.midline_at(y)) + SIGN[side] * (medial + outside * (lateral - medial)), y

    def heart(self) -> Window:
        """The thickness of the heart and great vessels (about 0..1.3): overlapping chambers that melt into each other."""
        p = self.patient
        wide = p.heart_width * (self.half / 0.372) * (1.08 if self.pose.view == "AP" else 1.0)
        tall = p.heart_tall
        if self.enlarged is not None:
            wide *= (1.2 + 0.28 * self.enlarged + 0.5 * (p.heart_width - 0.96)) / p.heart_width
            tall *= 1.04 + 0.14 * self.enlarged
        base = self.domes["left"] + 0.035
        x0 = float(self.midline_at(base)) + self.front
        rows = span(base - 0.47 * max(1.0, tall), base + 0.075, self.size)
        cols = span(x0 - 0.2 * wide, x0 + 0.33 * wide, self.size)
        x, y = self.x[:, cols], self.y[rows]
        cos, sin = math.cos(p.heart_tilt), math.sin(p.heart_tilt)
        # (offset to the left, offset up, half width, half height, turned by the heart's tilt)
        parts = (
            (0.082 * wide, -0.085, 0.135 * wide, 0.088 * tall, True),  # left ventricle
            (0.01 * wide, -0.09, 0.092 * wide, 0.1 * tall, False),  # right ventricle
            (-0.045 * wide, -0.115, 0.058 * wide, 0.095 * tall, False),  # right atrium
            (0.03 * wide, -0.2 * tall, 0.052 * wide, 0.085, False),  # pulmonary trunk, left appendage
        )
        total = np.full((y.shape[0], x.shape[1]), -EDGE, np.float32)
        for left, up, a, b, turned in parts:
            dx, dy = x - np.float32(x0 + left), y - np.float32(base + up)
            if turned:
                dx, dy = dx * np.float32(cos) + dy * np.float32(sin), dy * np.float32(cos) - dx * np.float32(sin)
            squared = (dx * np.float32(1 / a)) ** 2 + (dy * np.float32(1 / b)) ** 2
            total += np.exp(squared * np.float32(-1.4))
        np.maximum(total, 0, out=total)
        return Window(rows, cols, np.sqrt(total))


def bump(thorax: Thorax, x: float, y: float, a: float, b: float) -> Window:
    """The paraboloid 1 - r^2 of an upright ellipse with half axes a and b, 0 outside, in its window."""
    rows, cols = span(y - b, y + b, thorax.size), span(x - a, x + a, thorax.size)
    across = ((thorax.x[:, cols] - np.float32(x)) * np.float32(1 / a)) ** 2
    down = ((thorax.y[rows] - np.float32(y)) * np.float32(1 / b)) ** 2
    return Window(rows, cols, np.maximum(1 - across - down, 0))

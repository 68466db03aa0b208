"""Ribs, clavicles, shoulder blades and spine, each added to the attenuation inside a window."""

from __future__ import annotations

import numpy as np

from sista.archives.phantom.grid import ramp, span
from sista.archives.phantom.thorax import SIGN, Lung, Thorax

SAMPLES = 32  # of a rib's profile per spacing
RIBS = 14


def _profiles(width: float, fade: np.ndarray) -> np.ndarray:
    """The density across successive ribs, [RIBS * SAMPLES]: a flat bone with denser margins, `fade` per rib."""
    t = (np.arange(SAMPLES) + 0.5) / SAMPLES
    off = np.abs(t - 0.5) / (width / 2)
    body = ramp((1 - off) * 3)
    profile = body * (0.62 + 0.38 * ramp(off) ** 2)
    return (profile[None, :] * fade[:, None]).ravel().astype(np.float32)


def add_ribs(thorax: Thorax, lung: Lung, attenuation: np.ndarray) -> None:
    """Posterior ribs, which leave the spine and fall to the side, and fainter anterior ribs, which fall to the middle."""
    p = thorax.patient
    out = np.clip(lung.outward * np.float32(1 / thorax.half), 0, 1.08)
    centre = lung.outward.shape[0] // 2
    s = out[centre][None, :]  # the ribs' form is taken on the middle row: one curve for the whole side
    y = thorax.y[lung.rows]
    number = np.arange(RIBS)
    jitter = 0.86 + 0.14 * np.cos(2.4 * number + 6.28 * p.rib_phase)
    spacing = p.rib_spacing * (1 + 0.25 * thorax.pose.inspiration)
    bend = 1.15 - 0.5 * np.clip(y - thorax.apex, 0, 0.6)  # the upper ribs curve more
    drop = -0.03 * np.sin(2.6 * s) + (0.085 + 0.035 * p.rib_slope) * s**2.2
    start = thorax.apex - 0.035 - 0.4 * spacing
    phase = (y - start) / spacing - (drop / spacing) * bend
    fade = np.where(number < 10, 1.0, 0.55) * jitter
    back = _profiles(p.rib_width, fade)
    ribs = back.take((phase * SAMPLES).astype(np.intp), mode="clip")
    rise = 0.04 + (0.15 + 0.05 * p.rib_slope) * ramp(1.02 - s) ** 1.25
    phase = (y - (thorax.apex + 0.005)) / (spacing * 1.12) - rise / (spacing * 1.12)
    front = _profiles(p.rib_width * 1.15, np.where(number < 7, 0.55, 0.0) * jitter)
    end = ramp((s - 0.36) * 9)  # the costal cartilage does not show
    ribs = ribs + front.take((phase * SAMPLES).astype(np.intp), mode="clip") * end
    cage = ramp((lung.lateral + 0.022 - lung.outward) * 60) * ramp((lung.outward - 0.03) * 60)
    cage *= ramp((y - (thorax.apex - 0.025)) * 40)
    # Near the wall the ribs are seen end on: denser.
    ribs *= cage * (0.2 + 0.16 * s**3).astype(np.float32)
    attenuation[lung.rows, lung.cols] += ribs * np.float32(p.bone)


def add_clavicles(thorax: Thorax, attenuation: np.ndarray) -> None:
    """S-shaped bars from the sternum to the shoulders, over the lung apices."""
    p, size = thorax.patient, thorax.size
    for side, sign in SIGN.items():
        middle = float(thorax.midline_at(thorax.apex)) + thorax.front * 1.4
        inner, outer = 0.035, 0.42
        low, high = sorted((middle + sign * inner, middle + sign * outer))
        cols = span(low, high, size)
        if cols.stop - cols.start < 2:
            continue
        t = (sign * (thorax.x[:, cols] - middle) - inner) / (outer - inner)
        lift = p.clavicle_rise + sign * thorax.pose.tilt * 0.6 + (0.03 if thorax.pose.view == "AP" else 0.0)
        height = thorax.apex + 0.085 + p.clavicle_low - lift * t + p.clavicle_bend * np.sin(5.2 * t) + (0.006 if side == "left" else 0)
        width = 0.0135 + 0.007 * (2 * t - 1) ** 2
        rows = span(float(height.min()) - 0.03, float(height.max()) + 0.03, size)
        off = np.abs(thorax.y[rows] - height) / width
        bone = ramp((1 - off) * 3.5) * (0.6 + 0.4 * np.minimum(off, 1) ** 2)
        attenuation[rows, cols] += (bone * (ramp(t * 14) * ramp((1 - t) * 6) * 0.36 * p.bone)).astype(np.float32)


def add_scapulae(thorax: Thorax, attenuation: np.ndarray) -> None:
    """Blades at the upper outer chest; over the lungs in AP views, mostly beside them in PA views."""
    p, size = thorax.patient, thorax.size
    for sign in SIGN.values():
        rows = span(thorax.apex - 0.02, thorax.apex + 0.34, size)
        y = thorax.y[rows]
        t = (y - thorax.apex) / 0.34
        border = thorax.half * (0.86 if thorax.pose.view == "AP" else 0.99) + p.scapula + 0.10 * (t - 0.35) ** 2 + 0.06 * t
        middle = thorax.pose.centre
        low, high = sorted((middle + sign * 0.27, middle + sign * 0.56))
        cols = span(low, high, size)
        inside = sign * (thorax.x[:, cols] - middle) - border
        blade = ramp(inside * 70) * (0.11 + 0.16 * ramp(1 - np.abs(inside - 0.008) * 90))
        attenuation[rows, cols] += (blade * (ramp(t * 8) * ramp((1 - t) * 5) * p.bone)).astype(np.float32)


def add_spine(thorax: Thorax, attenuation: np.ndarray) -> None:
    """The vertebral column: bodies with discs between, pedicles as paired dots, fading behind the heart and abdomen."""
    p, size = thorax.patient, thorax.size
    centre = thorax.pose.centre
    cols = span(centre - 0.085, centre + 0.085, size)
    off = (thorax.x[:, cols] - thorax.midline) * np.float32(1 / 0.042)
    grow = 0.85 + 0.4 * thorax.y
    off = np.abs(off / grow)
    bodies = 0.5 + 0.5 * np.clip(2.2 * np.cos(thorax.y * np.float32(6.2832 / (p.rib_spacing * 0.98)) + p.rib_phase * 6), -1, 1)
    edge = ramp((1.08 - off) * 2.6) * (0.45 + 0.55 * ramp((thorax.y - thorax.apex + 0.06) * 8))
    pedicle = ramp(1 - np.abs(off - 0.66) * 4) * ramp(bodies * 2 - 1)
    attenuation[:, cols] += (edge * (0.2 + 0.09 * bodies) + 0.1 * pedicle).astype(np.float32) * np.float32(p.bone)

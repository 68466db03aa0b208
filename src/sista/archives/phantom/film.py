"""The attenuation of a body without findings (but for the size of its heart), summed from its parts."""

from __future__ import annotations

import numpy as np

from sista.archives.phantom.bones import add_clavicles, add_ribs, add_scapulae, add_spine
from sista.archives.phantom.draws import TEXTURE, generator
from sista.archives.phantom.grid import over_film, ramp, span
from sista.archives.phantom.thorax import SIGN, Thorax, Window, bump
from sista.archives.phantom.vessels import draw_vessels

SOFT = 2.55  # attenuation of the whole trunk
AIR = 1.55  # what a full path through lung takes away
HEART = 0.34
VESSEL = 0.4


def _trunk(thorax: Thorax) -> np.ndarray:
    """Soft tissue: neck, sloping shoulders, chest and waist; 0 in the air around."""
    p, y, x = thorax.patient, thorax.y, thorax.x
    slope = ramp((y - (thorax.apex - 0.15)) / p.shoulder)
    slope = slope * slope * (3 - 2 * slope)
    chest = thorax.half + p.wall
    arms = 0.2 * ramp(1 - np.abs(y - thorax.apex - 0.12) / 0.26)
    edge = p.neck + (chest + 0.04 + arms - p.neck) * slope
    edge = edge - 0.03 * ramp((y - 0.45) / 0.3) * (1 - p.fat)
    q = (x - thorax.midline) * (1 / edge).astype(np.float32)
    np.multiply(q, q, out=q)
    np.subtract(1, q, out=q)
    np.maximum(q, 0, out=q)
    np.sqrt(q, out=q)
    thick = SOFT * (0.9 + 0.22 * p.fat) * (0.62 + 0.38 * ramp((y - 0.05) / 0.25)) + 0.45 * ramp((y - 0.62) / 0.3)
    q *= thick.astype(np.float32)
    return q


def _add(attenuation: np.ndarray, window: Window, strength: float) -> None:
    attenuation[window.rows, window.cols] += window.field * np.float32(strength)


class Body:
    """One patient on one day before the detector. `attenuation` float32 [size, size]; `vessels` per side on the lung's window."""

    def __init__(self, thorax: Thorax) -> None:
        self.thorax = thorax
        p = thorax.patient
        att = _trunk(thorax)
        rng = generator(*p.key, TEXTURE)
        mottle = over_film(rng.standard_normal((20, 20), dtype=np.float32), thorax.size)
        self.heart = thorax.heart()
        solid = np.minimum(self.heart.field * np.float32(1.6), 1)
        shadow = np.zeros((thorax.size, thorax.size), np.float32)
        shadow[self.heart.rows, self.heart.cols] = solid
        for lung in thorax.lungs.values():
            lung.air[...] *= 1 - np.float32(0.62) * shadow[lung.rows, lung.cols]
        self.vessels = draw_vessels(thorax, rng)
        for side, lung in thorax.lungs.items():
            part = att[lung.rows, lung.cols]
            part -= lung.air * (np.float32(AIR) + np.float32(0.05) * mottle[lung.rows, lung.cols])
            part += self.vessels[side] * np.float32(VESSEL * p.vascular)
            add_ribs(thorax, lung, att)
        _add(att, self.heart, HEART)
        self._mediastinum(att)
        add_spine(thorax, att)
        add_clavicles(thorax, att)
        add_scapulae(thorax, att)
        self._soft_parts(att)
        self.attenuation = att

    def _mediastinum(self, att: np.ndarray) -> None:
        """Aortic knob and descending aorta, hila, and the air of the trachea and main bronchi."""
        thorax, p = self.thorax, self.thorax.patient
        hilum = p.hilum + thorax.pose.lift
        middle = float(thorax.midline_at(hilum)) + thorax.front
        knob = bump(thorax, middle + p.mediastinum - 0.012, hilum - 0.105, p.knob, p.knob * 1.1)
        _add(att, Window(knob.rows, knob.cols, np.sqrt(knob.field)), 0.5)
        near = thorax.y - np.float32(hilum - 0.1)
        cols = span(middle - 0.01, middle + 0.12, thorax.size)
        edge = np.float32(p.mediastinum + p.knob * 0.55 - 0.012) - np.maximum(near, 0) * np.float32(0.07)
        aorta = ramp((edge - np.abs(thorax.x[:, cols] - thorax.midline - np.float32(thorax.front))) * 55)
        att[:, cols] += aorta * ramp(near * 30) * np.float32(0.16)
        for sign in SIGN.values():
            height = hilum + (0.012 if sign < 0 else -0.008)
            root = bump(thorax, middle + sign * (p.mediastinum + 0.006), height, 0.05 * p.hilum_size, 0.07 * p.hilum_size)
            _add(att, root, 0.3)
        x, y = thorax.x, thorax.y
        cols = slice(max(0, int((middle - 0.1) * thorax.size)), int((middle + 0.1) * thorax.size))
        carina = hilum - 0.04
        off = np.abs(x[:, cols] - thorax.midline - np.float32(thorax.front * 0.6))
        tube = ramp((np.float32(0.019) - off) * 110) * ramp((carina - y) * 40)
        legs = np.abs(off - np.maximum(y - carina, 0) * np.float32(0.85))
        span_of_bronchi = ramp((y - carina) * 60) * ramp((carina + 0.075 - y) * 30)
        bronchi = ramp((np.float32(0.013) - legs) * 110) * span_of_bronchi
        att[:, cols] -= np.float32(0.3) * tube + np.float32(0.22) * bronchi

    def _soft_parts(self, att: np.ndarray) -> None:
        """Breast shadows and the gas of stomach and bowel."""
        thorax, p = self.thorax, self.thorax.patient
        centre = thorax.pose.centre
        if p.breast:
            for sign in SIGN.values():
                breast = bump(thorax, centre + sign * 0.225, p.breast_height + thorax.pose.lift, 0.17, 0.15)
                lower = np.clip((thorax.y[breast.rows] - p.breast_height - thorax.pose.lift) * 5 + 0.75, 0.1, 1)
                _add(att, Window(breast.rows, breast.cols, np.sqrt(breast.field) * lower.astype(np.float32)), 0.42 * p.breast)
        offset, width, strength = p.stomach
        if strength and thorax.pose.view == "PA":
            x = centre + offset
            top = float(thorax.dome_at(offset, "left"))
            gas = bump(thorax, x, top + 0.03 + width * 0.6, width, width * 0.6)
            _add(att, Window(gas.rows, gas.cols, np.sqrt(gas.field)), -0.85 * strength)

"""Lines, tubes and pacemakers: radio-opaque strokes along the way that they take in the body."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sista.archives.phantom.film import Body
from sista.archives.phantom.findings import Finding
from sista.archives.phantom.lesions import Mark
from sista.archives.phantom.strokes import Canvas, smooth_path
from sista.archives.phantom.thorax import SIGN

# A rounded rectangle: the outline of |x|^4 + |y|^4 = 1.
_TURN = np.linspace(0, 2 * np.pi, 25)
ROUNDED = [tuple(np.sign(v) * np.sqrt(np.abs(v))) for v in np.stack((np.cos(_TURN), np.sin(_TURN)), axis=1)]


def _mark(canvas: Canvas, density: float) -> Mark:
    window = canvas.window()
    return Mark(window.rows, window.cols, window.field * np.float32(density), window.field > 0.3)


def central_line(body: Body, finding: Finding) -> list[Mark]:
    """From the neck or below the clavicle of one side to the superior vena cava, right of the midline."""
    thorax, sign = body.thorax, SIGN[finding.side]
    top = thorax.apex
    middle = float(thorax.midline_at(top + 0.2)) + thorax.front
    cava = middle - thorax.patient.mediastinum * 0.72
    tip = (cava + 0.006 * (finding.shape[1] - 0.5), top + 0.27 + 0.08 * finding.shape[0])
    if finding.shape[2] < 0.5:  # jugular
        start = [(middle + sign * (0.1 + 0.03 * finding.shape[3]), max(0.0, top - 0.15)), (middle + sign * 0.075, top - 0.02)]
    else:  # subclavian
        wide = 0.3 + 0.05 * finding.shape[3]
        start = [(middle + sign * wide, top + 0.16), (middle + sign * (wide - 0.1), top + 0.055), (middle + sign * 0.1, top + 0.04)]
    turn = [(cava, top + 0.13)] if finding.side == "right" else [(middle + 0.01, top + 0.085), (cava + 0.008, top + 0.14)]
    path = smooth_path([*start, *turn, tip])
    canvas = Canvas.around(path, 0.02, thorax.size)
    canvas.line(path, 0.0125)
    return [_mark(canvas, 0.5 + 0.3 * finding.severity)]


def tube(body: Body, finding: Finding) -> list[Mark]:
    """An endotracheal tube ends above the carina, an enteric tube below the left dome, a chest tube high in one pleural space."""
    thorax = body.thorax
    hilum = thorax.patient.hilum + thorax.pose.lift
    if finding.kind == "chest":
        x0, y0 = thorax.place(finding.side, 0.72 + 0.1 * finding.shape[0], 1.08)
        x1, y1 = thorax.place(finding.side, 0.55 + 0.1 * finding.shape[1], 0.8)
        x2, y2 = thorax.place(finding.side, 0.16 + 0.1 * finding.shape[2], 0.55)
        path = smooth_path([(x0 + SIGN[finding.side] * 0.06, y0 + 0.02), (x0, y0), (x1, y1), (x2, y2)])
        canvas = Canvas.around(path, 0.03, thorax.size)
        canvas.line(path, 0.024, 0.55)
        canvas.line(path, 0.01, 1.0)
        return [_mark(canvas, 0.7 + 0.25 * finding.severity)]
    middle = float(thorax.midline_at(hilum)) + thorax.front * 0.6
    sway = 0.012 * (finding.shape[0] - 0.5)
    if finding.kind == "endotracheal":
        end = hilum - 0.115 + 0.05 * finding.shape[1]
        top = float(thorax.midline_at(0.0)) + thorax.front * 0.6
        path = smooth_path([(top + sway, 0.0), (middle - sway, thorax.apex), (middle + sway * 0.5, end)])
        canvas = Canvas.around(path, 0.03, thorax.size)
        canvas.line(path, 0.026, 0.5)
        canvas.line([(x + 0.008, y) for x, y in path], 0.01, 1.0)
        return [_mark(canvas, 0.75 + 0.25 * finding.severity)]
    dome = thorax.domes["left"]
    path = smooth_path(
        [
            (middle - 0.01 + sway, 0.0),
            (middle + sway, hilum),
            (middle + 0.022, dome - 0.02),
            (middle + 0.07, dome + 0.07),
            (middle + 0.16 + 0.05 * finding.shape[1], dome + 0.1 + 0.05 * finding.shape[2]),
        ]
    )
    canvas = Canvas.around(path, 0.03, thorax.size)
    canvas.line(path, 0.016)
    return [_mark(canvas, 0.6 + 0.3 * finding.severity)]


def pacemaker(body: Body, finding: Finding) -> list[Mark]:
    """A metal box below one clavicle and one or two leads through the veins into the right heart."""
    thorax, sign = body.thorax, SIGN[finding.side]
    top = thorax.apex
    middle = float(thorax.midline_at(top + 0.2)) + thorax.front
    x, y = middle + sign * (0.255 + 0.03 * finding.shape[0]), top + 0.12 + 0.05 * finding.shape[1]
    w, h = 0.044 + 0.008 * finding.shape[2], 0.038 + 0.008 * finding.shape[3]
    box = [(x + w * float(a), y + h * float(b)) for a, b in ROUNDED]
    cava = middle - thorax.patient.mediastinum * 0.6
    base = thorax.domes["left"]
    inlet = [(x - sign * w * 0.5, y - h * 0.8), (middle + sign * 0.13, top + 0.045), (middle + sign * 0.04, top + 0.08), (cava, top + 0.17)]
    atrium = (cava + 0.004, base - 0.17)
    ventricle = [(cava + 0.008, base - 0.1), (middle + 0.03, base - 0.02), (middle + 0.12 + 0.03 * finding.shape[4], base - 0.025)]
    leads = [smooth_path([*inlet, atrium, *ventricle])]
    if finding.shape[5] < 0.6:
        leads.append(smooth_path([*inlet, (cava - 0.004, base - 0.15), (cava + 0.04, base - 0.13), (cava + 0.045, base - 0.18)]))
    canvas = Canvas.around([point for lead in leads for point in lead] + box, 0.02, thorax.size)
    for lead in leads:
        canvas.line(lead, 0.0115, 0.6)
        canvas.line(lead[-2:], 0.018, 0.8)
    canvas.polygon(box, 1.0)
    return [_mark(canvas, 1.25 + 0.4 * finding.severity)]


DEVICE_MARKS: dict[str, Callable[[Body, Finding], list[Mark]]] = {
    "central line": central_line,
    "tube": tube,
    "pacemaker": pacemaker,
}

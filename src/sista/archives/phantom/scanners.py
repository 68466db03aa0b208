"""How a scanner turns attenuation into a film: exposure, grain, film curve, processing, shutters and marker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sista.archives.phantom.anatomy import Pose
from sista.archives.phantom.grid import over_film, ramp
from sista.archives.phantom.strokes import Canvas
from sista.archives.phantom.thorax import Thorax


@dataclass(frozen=True, slots=True)
class Scanner:
    """A style of film. `latitude` is the width of the curve in units of attenuation, `level` its centre."""

    name: str
    grain: float  # relative noise at unit exposure
    level: float
    latitude: float
    toe: float  # brightness of unattenuated air, 0..1
    top: float  # brightness of the densest parts
    equalise: float  # share of the coarse brightness that processing takes away
    soft: bool  # grain of a phosphor plate is correlated
    heel: float  # how much of the pose's shading is left uncorrected


SITES: dict[str, tuple[Scanner, ...]] = {
    "main": (
        Scanner("Aldra DR-2", 0.030, 1.35, 0.46, 0.02, 0.96, 0.0, False, 0.5),
        Scanner("Aldra Mobile", 0.046, 1.30, 0.52, 0.03, 0.93, 0.0, False, 1.0),
        Scanner("Northlight CR", 0.040, 1.42, 0.56, 0.05, 0.92, 0.0, True, 1.0),
        Scanner("Corvane 400", 0.026, 1.38, 0.50, 0.01, 1.0, 0.22, False, 0.4),
        Scanner("Corvane 600", 0.024, 1.30, 0.44, 0.02, 0.98, 0.12, False, 0.4),
    ),
    "shifted": (
        Scanner("Helix Plate", 0.070, 1.62, 0.72, 0.10, 0.88, 0.0, True, 2.2),
        Scanner("Helix Bedside", 0.085, 1.10, 0.62, 0.06, 0.86, 0.0, True, 2.6),
        Scanner("Ostara FPD", 0.038, 1.15, 0.34, 0.0, 1.0, 0.0, False, 1.6),
        Scanner("Ostara Wide", 0.034, 1.50, 0.60, 0.04, 0.98, 0.4, False, 1.4),
    ),
}

LETTERS = {
    "L": (((0.0, 0.0), (0.0, 1.0), (0.6, 1.0)),),
    "R": (((0.0, 1.0), (0.0, 0.0), (0.5, 0.05), (0.62, 0.28), (0.5, 0.5), (0.0, 0.52)), ((0.25, 0.52), (0.65, 1.0))),
}


def develop(thorax: Thorax, attenuation: np.ndarray, scanner: Scanner, grain: np.random.Generator) -> np.ndarray:
    """The film, uint8 [size, size]: exp(-x), photon noise, a sigmoid curve in log exposure, processing, shutters, marker."""
    pose, size = thorax.pose, thorax.size
    shade = pose.heel[0] * (thorax.x - 0.5) + pose.heel[1] * (thorax.y - 0.5)
    exposure = np.exp(-(attenuation + np.float32(scanner.heel) * shade.astype(np.float32)))
    noise = grain.standard_normal((size, size), dtype=np.float32)
    if scanner.soft:
        noise[:, 1:] += noise[:, :-1]
        noise[1:] += noise[:-1]
        noise *= np.float32(0.6)
    # A finer matrix catches fewer photons per pixel; most of that is regained by post-processing.
    noise *= np.sqrt(exposure) * np.float32(scanner.grain * 0.42 * (size / 128) ** 0.3)
    exposure += noise
    np.maximum(exposure, np.float32(4e-4), out=exposure)
    np.log(exposure, out=exposure)
    exposure += np.float32(scanner.level + pose.exposure * 0.5)
    exposure *= np.float32(1 / scanner.latitude)
    np.exp(exposure, out=exposure)
    exposure += 1
    film = np.float32(scanner.top - scanner.toe) / exposure
    film += np.float32(scanner.toe)
    if scanner.equalise:
        coarse = np.asarray(Image.fromarray(film).resize((16, 16), Image.Resampling.BOX))
        film -= np.float32(scanner.equalise) * (over_film(coarse, size) - np.float32(0.45))
    if any(pose.collimation):
        left, right, top, bottom = pose.collimation
        film *= ramp(np.minimum(thorax.x - left, 1 - right - thorax.x) * 150)
        film *= ramp(np.minimum(thorax.y - top, 1 - bottom - thorax.y) * 150)
    _mark(film, pose, size)
    film *= 255
    return np.clip(film, 0, 255).astype(np.uint8)


def _mark(film: np.ndarray, pose: Pose, size: int) -> None:
    """Burn the side marker in: "L" at the right edge of the film, where the patient's left is, "R" at the left edge."""
    letter, edge, height = pose.marker
    if not letter:
        return
    left = 1 - edge - 0.03 if letter == "L" else edge
    paths = [[(left + 0.035 * x, height + 0.05 * y) for x, y in path] for path in LETTERS[letter]]
    canvas = Canvas.around([point for path in paths for point in path], 0.01, size)
    for path in paths:
        canvas.line(path, 0.009)
    window = canvas.window()
    part = film[window.rows, window.cols]
    np.maximum(part, window.field * np.float32(0.97), out=part)

"""One patient's chest as numbers, and how it was placed before the detector on one day. All lengths are shares of the film's side."""

from __future__ import annotations

from dataclasses import dataclass

from sista.archives.phantom.draws import Draws


@dataclass(frozen=True, slots=True)
class Patient:
    """What stays the same in every study of a subject. Offsets are from the midline; heights are from the top of the film."""

    key: tuple[int, ...]  # of the random streams that belong to this subject
    sex: str
    age: float  # years, at the first study
    fat: float  # 0 lean .. 1 obese: veils the film and thickens the wall
    half_width: float  # of the rib cage, inside, at its widest
    apex: float  # height of the lung apices
    dome: float  # height of the right dome
    dome_drop: float  # how much lower the left dome is
    dome_bend: float
    barrel: float  # how soon the lungs reach their full width below the apex
    shoulder: float
    neck: float
    wall: float  # thickness of the chest wall beyond the ribs
    spine_bend: float
    spine_phase: float
    heart_width: float  # 1 = a cardiothoracic ratio of about 0.46
    heart_tall: float
    heart_tilt: float
    knob: float  # size of the aortic knob
    mediastinum: float  # half width of the upper mediastinum
    hilum: float  # height of the hila
    hilum_size: float
    rib_phase: float
    rib_spacing: float
    rib_slope: float
    rib_width: float
    bone: float  # density of all bones
    clavicle_low: float  # further below the apex
    clavicle_rise: float
    clavicle_bend: float
    scapula: float
    breast: float  # 0 = no shadow
    breast_height: float
    stomach: tuple[float, float, float]  # gas bubble: offset, width, strength
    vascular: float


@dataclass(frozen=True, slots=True)
class Pose:
    """What differs between two films of the same patient."""

    view: str  # "PA" or "AP"
    centre: float  # where the midline falls
    lift: float
    tilt: float
    rotation: float  # + turns the front structures towards the patient's left
    inspiration: float  # + is deeper: domes lower
    zoom: float
    exposure: float
    heel: tuple[float, float]  # shading across and down the film
    collimation: tuple[float, float, float, float]  # left, right, top, bottom shutters
    marker: tuple[str, float, float]  # letter (or ""), distance from the edge, height
    grid_roll: float


def draw_patient(draws: Draws, key: tuple[int, ...]) -> Patient:
    """A patient at random."""
    sex = draws.choice(("F", "M"))
    age = round(min(94.0, max(18.0, draws.around(58, 42))), 1)
    fat = min(1.0, max(0.0, draws.around(0.42, 0.6)))
    old = (age - 18) / 76
    size = draws.around(0.0, 0.03) - (0.012 if sex == "F" else 0.0)
    return Patient(
        key=key,
        sex=sex,
        age=age,
        fat=fat,
        half_width=draws.around(0.372, 0.045) + size,
        apex=draws.around(0.125, 0.03),
        dome=draws.around(0.70, 0.07) - 0.04 * fat,
        dome_drop=draws.around(0.022, 0.022),
        dome_bend=draws.around(1.0, 0.45),
        barrel=draws.around(0.42, 0.12),
        shoulder=draws.around(0.16, 0.05),
        neck=draws.around(0.13, 0.03) + 0.03 * fat,
        wall=0.035 + 0.085 * fat + draws.around(0.0, 0.015),
        spine_bend=draws.around(0.0, 0.016 + 0.012 * old),
        spine_phase=draws.between(-1.2, 1.2),
        heart_width=draws.around(0.96, 0.14),
        heart_tall=draws.around(1.0, 0.14),
        heart_tilt=draws.around(0.55, 0.4),
        knob=draws.around(0.036 + 0.012 * old, 0.012),
        mediastinum=draws.around(0.062, 0.014) + 0.012 * fat,
        hilum=draws.around(0.45, 0.03),
        hilum_size=draws.around(1.0, 0.3),
        rib_phase=draws.between(0.0, 1.0),
        rib_spacing=draws.around(0.066, 0.008),
        rib_slope=draws.around(1.0, 0.5),
        rib_width=draws.around(0.40, 0.1),
        bone=draws.around(1.0, 0.3) - 0.2 * old,
        clavicle_low=draws.around(0.0, 0.035),
        clavicle_rise=draws.around(0.055, 0.085),
        clavicle_bend=draws.around(0.02, 0.03),
        scapula=draws.around(0.0, 0.03),
        breast=draws.between(0.25, 1.0) * (0.5 + 0.6 * fat) if sex == "F" and draws.chance(0.85) else 0.0,
        breast_height=draws.around(0.63, 0.06),
        stomach=(draws.between(0.13, 0.22), draws.between(0.035, 0.08), draws.between(0.3, 1.0) if draws.chance(0.7) else 0.0),
        vascular=draws.around(1.0, 0.35),
    )


def draw_pose(draws: Draws, bedside: bool) -> Pose:
    """A day's placing; `bedside` patients (tubes, lines) are nearly always imaged AP, less straight and less inspired."""
    view = "AP" if draws.chance(0.93 if bedside else 0.16) else "PA"
    loose = 1.6 if view == "AP" else 1.0
    shutters = [0.0, 0.0, 0.0, 0.0]
    if draws.chance(0.4):
        shutters = [draws.between(0.005, 0.05) if draws.chance(0.45) else 0.0 for _ in shutters]
    letter = draws.weighted(("L", "R", ""), (0.5, 0.3, 0.2))
    return Pose(
        view=view,
        centre=0.5 + draws.around(0.0, 0.03) * loose,
        lift=draws.around(0.0, 0.025) * loose,
        tilt=draws.around(0.0, 0.03) * loose,
        rotation=draws.around(0.0, 0.02) * loose,
        inspiration=draws.around(0.01 if view == "PA" else -0.035, 0.045),
        zoom=draws.around(1.0, 0.05) + (0.02 if view == "AP" else 0.0),
        exposure=draws.around(0.0, 0.34),
        heel=(draws.around(0.0, 0.18), draws.around(0.0, 0.18)),
        collimation=(shutters[0], shutters[1], shutters[2], shutters[3]),
        marker=(letter, draws.between(0.055, 0.1), draws.between(0.05, 0.13)),
        grid_roll=draws.unit(),
    )

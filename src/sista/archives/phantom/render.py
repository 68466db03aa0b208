"""One film of one visit: the body, its findings on top, and each finding's mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sista.archives.phantom.anatomy import Patient, Pose
from sista.archives.phantom.devices import DEVICE_MARKS
from sista.archives.phantom.draws import generator
from sista.archives.phantom.film import Body
from sista.archives.phantom.findings import Finding
from sista.archives.phantom.lesions import LESIONS
from sista.archives.phantom.scanners import Scanner, develop
from sista.archives.phantom.thorax import Thorax


def hide_behind_shutters(mask: np.ndarray, pose: Pose) -> None:
    """Clear what the collimator keeps dark."""
    size = mask.shape[0]
    left, right, top, bottom = (round(share * size) for share in pose.collimation)
    mask[:, :left] = False
    mask[:, size - right :] = False
    mask[:top] = False
    mask[size - bottom :] = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A film, uint8 [size, size], and for each finding its mask, bool [size, size], in the order given."""

    film: np.ndarray
    masks: tuple[np.ndarray, ...]


def render(
    patient: Patient,
    pose: Pose,
    scanner: Scanner,
    findings: tuple[Finding, ...],
    size: int,
    grain: tuple[int, ...],
    without: str | None = None,
) -> Rendered:
    """The film and masks of these findings.

    grain: the key of the film's noise. without: the name of a finding to leave out of the film (its mask is then empty); all else, the
    noise included, stays as it was.
    """
    shown = [f for f in findings if f.name != without]
    enlarged = next((f.severity for f in shown if f.label == "cardiomegaly"), None)
    thorax = Thorax(patient, pose, size, enlarged)
    body = Body(thorax)
    masks = []
    for finding in findings:
        mask = np.zeros((size, size), bool)
        masks.append(mask)
        if finding.name == without:
            continue
        if finding.label == "cardiomegaly":
            mask[body.heart.rows, body.heart.cols] = body.heart.field > 0.15
            continue
        for mark in (LESIONS.get(finding.label) or DEVICE_MARKS[finding.label])(body, finding):
            body.attenuation[mark.rows, mark.cols] += mark.change
            mask[mark.rows, mark.cols] |= mark.mask
    for mask in masks:
        hide_behind_shutters(mask, pose)
    return Rendered(develop(thorax, body.attenuation, scanner, generator(*grain)), tuple(masks))

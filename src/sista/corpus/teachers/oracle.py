"""The oracle: the true finding sets of a phantom corpus, the upper bound for every other teacher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sista.corpus.teachers import Reports, as_reports
from sista.corpus.teachers.labels import multi_hot, place_features
from sista.errors import SistaError


class Oracle:
    """Multi-hot of the true "finding/side/zone" sets and what they imply; cosine 1 exactly for equal sets, graded overlap otherwise."""

    def fit(self, reports: Reports | Sequence[str]) -> Oracle:
        return self

    def vectors(self, reports: Reports | Sequence[str]) -> np.ndarray:
        truth = as_reports(reports).true_findings
        if truth is None or any(entry is None for entry in truth):
            raise SistaError("teacher 'oracle': this corpus holds no true findings (only a phantom does); use 'tfidf' or 'labels'")
        rows = [place_features(frozenset(entry)) for entry in truth if entry is not None]
        return multi_hot(rows, {feature: number for number, feature in enumerate(sorted(set().union(*rows)))})

"""The label teacher: reports are alike when they name the same findings in the same places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sista.corpus.reports.labeller import label_report
from sista.corpus.reports.lexicon import BY_NAME
from sista.corpus.teachers import Reports, as_reports, normalised


class LabelTeacher:
    """Multi-hot over finding, finding/side and finding/side/zone, L2-normalised; a component of its own when nothing is affirmed.

    Findings come from the corpus' labels where a row has any (1 or -1 count, "no finding" does not), from the rule labeller elsewhere;
    places always from the rules, those of the findings that a label stands for: "nodule" and "mass" of Lung Lesion. Vectors [N, F + 2]: F
    features of the train split, "normal", and "only features never seen".
    """

    by_row = True

    def fit(self, reports: Reports | Sequence[str]) -> LabelTeacher:
        seen = {feature for row in _features(as_reports(reports)) for feature in row}
        self._columns = {feature: number for number, feature in enumerate(sorted(seen))}
        return self

    def vectors(self, reports: Reports | Sequence[str]) -> np.ndarray:
        return multi_hot(list(_features(as_reports(reports))), self._columns)


class RuleTeacher(LabelTeacher):
    """The same by the rule labeller alone, whatever labels the corpus has."""

    def fit(self, reports: Reports | Sequence[str]) -> RuleTeacher:
        super().fit(as_reports(reports).texts)
        return self

    def vectors(self, reports: Reports | Sequence[str]) -> np.ndarray:
        return super().vectors(as_reports(reports).texts)


def multi_hot(rows: Sequence[set[str]], columns: dict[str, int]) -> np.ndarray:
    """L2-normalised indicator rows, with the two extra components "normal" and "unseen" at the end."""
    result = np.zeros((len(rows), len(columns) + 2), dtype=np.float32)
    for vector, features in zip(result, rows, strict=True):
        known = [columns[f] for f in features if f in columns]
        vector[known] = 1
        if not known:
            vector[-1 if features else -2] = 1
    return normalised(result)


def place_features(placed: Sequence[str] | frozenset[str]) -> set[str]:
    """ "a/left/lower" -> {"a", "a/left", "a/left/lower"}; the last is always kept whole, so that equal features mean equal sets."""
    features: set[str] = set()
    for entry in placed:
        finding, _, place = entry.partition("/")
        side = place.partition("/")[0]
        features |= {finding, entry, f"{finding}/{side}" if side else finding}
    return features


def _kin(name: str) -> str:
    """What the rules call a label in a place: a pneumonia is a consolidation on the film."""
    return (BY_NAME[name].kin or name) if name in BY_NAME else name


def _features(reports: Reports) -> Iterator[set[str]]:
    for row, text in enumerate(reports.texts):
        placed = label_report(text).placed
        labels = None if reports.labels is None else reports.labels[row]
        if labels is not None and not np.isnan(labels).all():
            named = {n.lower() for n, value in zip(reports.label_names, labels, strict=True) if value in (1, -1)} - {
                "no finding",
                "no_finding",
            }
            meant = named | {_kin(name) for name, finding in BY_NAME.items() if named & {name, finding.observation}}
            here = frozenset(entry for entry in placed if entry.split("/")[0] in meant)
            yield {_kin(name) for name in named} | place_features(here)
        else:
            yield place_features(placed)

"""A small archive made in memory, importable by worker processes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from sista.corpus.study import Film, Region, Study, StudyRefused

SHARES = ("pleural effusion", "consolidation")


@dataclass
class TinyArchive:
    """`count` studies, two per subject, with reports of two findings; `broken` ones are refused; each takes `pause` seconds."""

    count: int = 24
    broken: tuple[int, ...] = ()
    pause: float = 0.0
    splits: tuple[str, ...] = ()  # of study number i: splits[i % len]
    name: str = "tiny"
    label_names: tuple[str, ...] = SHARES

    def __len__(self) -> int:
        return self.count

    def describe(self) -> dict:
        return {"count": self.count, "broken": list(self.broken)}

    def __getitem__(self, index: int) -> Study:
        if index in self.broken:
            raise StudyRefused(f"made to fail: study {index}")
        time.sleep(self.pause)
        rng = np.random.default_rng(index)
        side = str(rng.choice(("left", "right")))
        effusion, consolidation = rng.random(2) < 0.5
        sentences = ["Heart size is normal.", f"Small {side} pleural effusion." if effusion else "No pleural effusion."]
        sentences.append(f"Consolidation in the {side} upper lobe." if consolidation else "The lungs are clear.")
        truth: set[str] = set()
        truth |= {f"pleural effusion/{side}/lower"} if effusion else set()
        truth |= {f"consolidation/{side}/upper"} if consolidation else set()
        mask = np.zeros((80, 60), dtype=bool)
        mask[40:60, 15:45] = True
        region = Region("pleural effusion", 15, 40, 30, 20, f"Small {side} pleural effusion", mask)
        pixels = np.clip(rng.normal(120, 40, (80, 60)), 0, 255).astype(np.uint8)
        rng.shuffle(sentences)
        study = Study(
            f"s{index}",
            f"p{index // 2}",
            "FINDINGS: " + " ".join(sentences),
            (Film(f"f{index}", pixels, "PA", (region,) if effusion else ()),),
            {"pleural effusion": float(effusion), "consolidation": float(consolidation)},
            frozenset(truth),
            age=40.0 + index,
            change={"pleural effusion": "new"} if effusion else {},
        )
        return replace(study, split=self.splits[index % len(self.splits)]) if self.splits else study


@dataclass
class RepeatingArchive(TinyArchive):
    """Films, studies, texts and subjects that come again, drawn at random from a few; study 5 is refused; some truth is unknown."""

    name: str = "repeating"

    def __getitem__(self, index: int) -> Study:
        if index == 5:
            raise StudyRefused('made, "to" fail')
        rng = np.random.default_rng([index, 1])
        study, other = super().__getitem__(index), super().__getitem__(int(rng.integers(self.count)))
        return replace(
            study,
            study_id=f"s{index if rng.random() < 0.7 else rng.integers(self.count)}",
            subject_id=f"p{rng.integers(6)}",
            report=other.report.upper() if rng.random() < 0.2 else f"{study.report} Granuloma of {index % 40} mm.",
            films=tuple(replace(film, film_id=f"f{index if rng.random() < 0.8 else rng.integers(self.count)}") for film in study.films),
            true_findings=None if rng.random() < 0.3 else other.true_findings,
        )


@dataclass
class TextArchive:
    """Reports without films, each another order of 16 sentences, so that what is remembered of sentences does not grow with `count`."""

    count: int
    name: str = "texts"
    label_names: tuple[str, ...] = ()
    text_only: bool = True

    def __len__(self) -> int:
        return self.count

    def describe(self) -> dict:
        return {"count": self.count}

    def __getitem__(self, index: int) -> Study:
        places = ("left", "right", "left upper", "right lower")
        findings = ("Small effusion", "Nodule", "Consolidation", "Scar")
        drawn = [index >> shift & 15 for shift in (0, 4, 8, 12)]
        report = " ".join(f"{findings[number % 4]} in the {places[number // 4]} lung." for number in drawn)
        return Study(f"s{index}", f"p{index // 2}", f"FINDINGS: {report}", ())

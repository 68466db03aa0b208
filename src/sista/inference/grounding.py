"""Where on the film a phrase is, and how well that agrees with known regions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.corpus.reports.sentences import split_sentences
from sista.corpus.study import Region
from sista.errors import SistaError
from sista.inference.ms_cxr import corpus_regions, read_ms_cxr
from sista.inference.pretrained import PretrainedModel, load
from sista.inference.regions import region_area, united
from sista.inference.result import id_columns, run_facts
from sista.inference.sides import own_side
from sista.metrics.grounding import chance, contrast_to_noise, iou_at, pointing_game
from sista.metrics.interval import bootstrap_mean
from sista.metrics.result import require_folder, write_run
from sista.models.precision import Precision

LEVELS = ("word", "phrase", "sentence")
COLUMNS = {"pointing_game": "hit", "contrast_to_noise": "contrast", "miou": "miou", "miou_scaled": "miou_scaled", "own_side": "own_side"}


@dataclass(frozen=True)
class Grounding:
    """One row per query: the row of the corpus, finding, subject, text asked for, hit of the pointing game (0 to 1), contrast-to-noise
    ratio, mean IoU where the map (cosines less those with the mean film) is above 0.1 to 0.5, BioViL's thresholds on cosines, and above
    those shares of the map's own range, a random point's chance, and whether the whole film fits the text better than the same of the
    other side (`own_side`; chance 0.5).
    """

    rows: np.ndarray
    findings: np.ndarray
    subjects: np.ndarray
    queries: np.ndarray
    hit: np.ndarray
    contrast: np.ndarray
    miou: np.ndarray
    miou_scaled: np.ndarray
    chance: np.ndarray
    own_side: np.ndarray

    def means(self) -> dict[str, dict[str, Any]]:
        """Each metric's mean over queries with its interval over subjects."""
        return {name: bootstrap_mean(getattr(self, column), groups=self.subjects).as_dict() for name, column in COLUMNS.items()}

    def summary(self) -> dict[str, Any]:
        """Means over regions with intervals over subjects, over all findings and for each."""
        names = sorted(set(self.findings))
        per = {
            name: bootstrap_mean(self.hit[self.findings == name], groups=self.subjects[self.findings == name]).as_dict() for name in names
        }
        return {"regions": len(self.hit), **self.means(), "chance": _mean(self.chance), "pointing_game_per_finding": per}


def require_levels(levels: list[str] | None) -> list[str]:
    """The levels that are asked for, each once; SistaError for one that is none."""
    asked = list(dict.fromkeys(levels or LEVELS))
    if strange := [level for level in asked if level not in LEVELS]:
        raise SistaError(f"--levels {', '.join(strange)}: choose from {', '.join(LEVELS)}")
    return asked


def ground(
    model: Path,
    data: Path | None = None,
    image: Path | None = None,
    phrase: str | None = None,
    out: Path | None = None,
    split: str = "test",
    limit: int = 2000,
    regions: Path | None = None,
    levels: list[str] | None = None,
    device: str = "auto",
    precision: Precision = "auto",
) -> dict[str, Any]:
    """Show where on a film a phrase is, or score heat maps against a corpus' regions.

    Args:
        model: a pre-trained run, a checkpoint, or a Hub name.
        data: a corpus with regions and phrases; gives the pointing game, the contrast-to-noise ratio, mean IoU, and how often a film
            fits its phrase better than the same phrase of the other side.
        image: one film (JPEG, PNG or DICOM).
        phrase: what to look for on that film.
        out: with image, where to write the heat map over the film (PNG), its numbers beside it (.npy); with data, a folder for result.json
            and predictions.parquet (every query's figures).
        split: which part of the corpus.
        limit: at most so many regions are scored.
        regions: MS-CXR's .json or .csv; its boxes are taken instead of the corpus' own, films matched by dicom id.
        levels: what is asked for, any of word (the last word of the finding's name), phrase, and sentence (of the report, around the
            phrase); by default all three. The figures without a level's name are those of phrases.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
    """
    arguments = dict(locals())
    if (data is None) == (image is None):
        raise SistaError("give either --data, a corpus with regions, or --image with --phrase")
    if phrase is not None and image is None:
        raise SistaError("--phrase is for one film, --image; a corpus is asked for the phrases of its own reports")
    asked = require_levels(levels)
    if image is None:
        require_folder(out, "ground", arguments)
    of_corpus = {"split": split != "test", "limit": limit != 2000, "regions": regions is not None, "levels": levels is not None}
    if image is not None and (unused := [f"--{name}" for name, given in of_corpus.items() if given]):
        raise SistaError(f"{' and '.join(unused)} {'go' if len(unused) > 1 else 'goes'} with a corpus, --data, not with one film")
    trained = load(model, device, precision)
    if image is not None:
        if not phrase:
            raise SistaError("--image needs --phrase, the words to look for")
        out = None if out is None else Path(out)
        if out is not None and out.suffix.lower() != ".png":
            raise SistaError(f"--out {out}: the heat map over the film is written as PNG; give a name that ends in .png")
        if out is not None and out.resolve() == Path(image).resolve():
            raise SistaError(f"--out {out} is the film itself, which would be lost; give another name")
        heat = trained.heatmap(image, phrase)
        row, column = hottest(heat)
        if out is not None:
            save_overlay(out, trained.read(image), heat)
        return {
            "task": "ground",
            "image": str(image),
            "phrase": phrase,
            "hottest": {"x": column, "y": row},
            "out": str(out) if out else None,
        }
    assert data is not None
    corpus = Corpus.open(data)
    rows = corpus.rows(split)
    given, of_file = None, dict[str, Any]()
    if regions is not None:
        annotated = read_ms_cxr(regions)
        given = corpus_regions(corpus, annotated, rows)
        of_file = {"annotated_films": {"in_file": len(annotated), "in_split": len(given)}}
    found = {level: ground_regions(trained, corpus, rows, limit, level, given) for level in asked}
    scored = {level: one for level, one in found.items() if len(one.hit)}
    if not scored:
        raise SistaError(f"corpus {corpus.path}: no region has a {' or '.join(asked)} to ask for")
    metrics = {f"{name}/{level}": mean for level, one in scored.items() for name, mean in one.means().items()}
    result = {
        **run_facts("ground", model, trained, corpus, np.unique(np.concatenate([one.rows for one in scored.values()])), split, arguments),
        **of_file,
        **(scored["phrase"].summary() if "phrase" in scored else {}),
        "levels": {
            level: {"queries": len(one.hit), "chance": _mean(one.chance), **(one.means() if level in scored else {})}
            for level, one in found.items()
        },
        "metrics": metrics,
    }
    if out is not None:
        write_run(out, result, _columns(corpus, scored))
    return result


def hottest(heat: np.ndarray) -> tuple[int, int]:
    """Row and column of the hottest place of a map [H,W]; where a border is as hot as its patch, the innermost: the patch's centre."""
    rows, columns = np.nonzero(heat >= heat.max() - 1e-6 * np.ptp(heat))
    middle = (np.array(heat.shape) - 1) / 2
    best = int(np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2))
    return int(rows[best]), int(columns[best])


def ground_regions(
    model: PretrainedModel,
    corpus: Corpus,
    rows: np.ndarray,
    limit: int = 2000,
    level: str = "phrase",
    given: Mapping[int, Sequence[Region]] | None = None,
) -> Grounding:
    """Score the heat map of every region's phrase (its finding's name where it has none) on the films of `rows`, in order.

    Maps are enlarged to the film's square and compared with the mask, or the box where there is no mask. `level` asks for a word or the
    report's sentence instead; regions without a phrase in the report then ask no sentence. Regions of a film without a phrase that ask the
    same, such as the boxes of one finding, are one region, since the map that answers is one; regions with phrases stay apart, also where
    two have the same (one finding on both sides), of which a map's hottest place can hit one alone. given: regions by row instead of the
    corpus' own.
    """
    if limit < 1:
        raise SistaError(f"--limit is {limit}; at least 1 region is needed")
    known: list[tuple[int, Region]] = []  # of whole films
    for row in rows:
        if len(known) >= limit:
            break
        known += [(int(row), region) for region in (corpus.regions(int(row)) if given is None else given.get(int(row), ()))]
    if not known:
        raise SistaError(f"corpus {corpus.path} has no region on these films; grounding needs boxes or masks")
    asked = _asked(corpus, known, level)[:limit]
    figures = np.array([one for start in range(0, len(asked), 64) for one in _figures(model, corpus, asked[start : start + 64])]).reshape(
        -1, 5
    )
    names = np.array([region.name for _, region, _ in asked])
    held = np.array([row for row, _, _ in asked], dtype=np.int64)
    hit, contrast, miou, miou_scaled, by_chance = figures.T
    return Grounding(
        rows=held,
        findings=names,
        subjects=corpus.values("subject_id", held),
        queries=np.array([text for _, _, text in asked], dtype=object),
        hit=hit,
        contrast=contrast,
        miou=miou,
        miou_scaled=miou_scaled,
        chance=by_chance,
        own_side=own_side(model, corpus, asked, known),
    )


def _asked(corpus: Corpus, known: Sequence[tuple[int, Region]], level: str) -> list[tuple[int, Region, str]]:
    """(row, region, text) of all that is asked at a level."""
    together: dict[tuple[int, str, int], list[Region]] = {}
    for number, (row, region) in enumerate(known):
        if text := query_text(region, level, corpus.reports([row])[0] if level == "sentence" else ""):
            together.setdefault((row, text, number if region.phrase else -1), []).append(region)
    return [(row, united(regions, corpus.size), text) for (row, text, _), regions in together.items()]


def query_text(region: Region, level: str, report: str = "") -> str:
    """What is asked for a region at a level; "" where there is nothing: no sentence of the report has the region's phrase."""
    name = region.finding.replace("/", " ").replace("_", " ")
    if level == "phrase":
        return region.phrase or name
    if level == "word":
        return re.findall(r"[^\s_/]+", region.name)[-1]
    wanted = " ".join(region.phrase.lower().split()).rstrip(".")
    return next((one for one in split_sentences(report) if wanted and wanted in " ".join(one.lower().split())), "")


def _figures(model: PretrainedModel, corpus: Corpus, some: Sequence[tuple[int, Region, str]]) -> Iterator[tuple[float, ...]]:
    images = eval_view(corpus.films(np.array([row for row, _, _ in some])), model.image_size)
    large = model.enlarged(model.patch_map(images, [text for _, _, text in some]), corpus.size)
    for heat, (_, region, _) in zip(large, some, strict=True):
        area = region_area(region, corpus.size)
        scaled = (heat - heat.min()) / max(float(heat.max() - heat.min()), 1e-8)
        yield pointing_game(heat, area), contrast_to_noise(heat, area), iou_at(heat, area), iou_at(scaled, area), chance(area)


def _columns(corpus: Corpus, found: Mapping[str, Grounding]) -> dict[str, Any]:
    rows = np.concatenate([one.rows for one in found.values()])
    keys = {
        "level": np.repeat(list(found), [len(one.hit) for one in found.values()]),
        "finding": np.concatenate([one.findings for one in found.values()]),
        "query": np.concatenate([one.queries for one in found.values()]),
        "region": np.concatenate([np.arange(len(one.hit)) for one in found.values()]),
    }
    values = {f"value/{name}": np.concatenate([getattr(one, column) for one in found.values()]) for name, column in COLUMNS.items()}
    return {**id_columns(corpus, rows), **keys, **values}


def _mean(values: np.ndarray) -> float | None:
    return float(np.nanmean(values)) if len(values) else None


def save_overlay(out: Path, film: np.ndarray, heat: np.ndarray) -> None:
    """Write the heat map [H,W] over its film [H,W] as PNG, and its numbers as .npy beside it."""
    from matplotlib import colormaps
    from PIL import Image

    from sista.corpus.films.radiograph import to_uint8

    shown = to_uint8(film).astype(np.float32) / 255
    span = max(float(heat.max() - heat.min()), 1e-8)
    strength = ((heat - heat.min()) / span)[..., None]
    colour = colormaps["inferno"](strength[..., 0])[..., :3]
    mixed = shown[..., None] * (1 - 0.5 * strength) + colour * 0.5 * strength
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.clip(mixed, 0, 1) * 255).astype(np.uint8)).save(out)
    np.save(out.with_suffix(".npy"), heat)

"""Sentences that say a finding is there, and that it is not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sista.corpus.reports.words import word_spans
from sista.errors import SistaError

POSITIVE = (
    "{finding}.",
    "There is {article}{finding}.",
    "{finding} is seen.",
    "Findings are consistent with {finding}.",
    *(f"{side} {{finding}}." for side in ("left", "right")),
    *(f"{{finding}} on the {side}." for side in ("left", "right")),
    *(f"{severity} {{finding}}." for severity in ("mild", "moderate", "severe", "small", "large")),
    *(f"{{finding}} in the {side} {zone} lung." for side in ("left", "right") for zone in ("upper", "mid", "lower")),
)
NEGATIVE = (
    "No {finding}.",
    "The lungs are clear.",
    "No acute findings.",
    "Normal chest.",
)
ABNORMAL = (
    "There is an abnormality.",
    "Abnormal chest.",
    "There are acute findings.",
    "Opacities are seen.",
)
_NO_FINDING = {"no finding", "no findings", "normal"}


@dataclass(frozen=True)
class PromptPair:
    """Several ways to affirm a finding and several to deny it; the embeddings of each side are averaged."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]


def default_prompts(finding: str) -> PromptPair:
    """The pair of ensembles for a finding's name: it is there, in some place, of some severity; or it is not.

    Positive against negative after CheXzero (Nature BME 2022); place and severity varied after GLoRIA (ICCV 2021), since reports rarely
    name a finding without them. The denying side is mostly plain normal statements, which are the affirming side of "No Finding", the label
    of films without any.
    """
    name = finding.replace("_", " ").strip().lower()
    if not word_spans(name):
        raise SistaError(f"finding {finding!r} holds no word to ask for")
    if name in _NO_FINDING:
        return PromptPair(NEGATIVE[1:], ABNORMAL)
    words = {"finding": name, "article": "an " if name[:1] in "aeiou" and name not in _UNCOUNTED else "" if name in _UNCOUNTED else "a "}
    return PromptPair(tuple(_sentence(t.format(**words)) for t in POSITIVE), tuple(_sentence(t.format(**words)) for t in NEGATIVE))


_UNCOUNTED = {
    "atelectasis",
    "edema",
    "oedema",
    "cardiomegaly",
    "consolidation",
    "pneumonia",
    "emphysema",
    "fibrosis",
    "pleural thickening",
    "support devices",
}


def read_prompts(file: Path) -> dict[str, PromptPair]:
    """Prompts from JSON: `{"pneumothorax": {"positive": ["..."], "negative": ["..."]}}`."""
    try:
        given = json.loads(Path(file).read_text(encoding="utf-8"))
        pairs = {name: PromptPair(_texts(pair["positive"]), _texts(pair["negative"])) for name, pair in given.items()}
    except OSError as error:
        raise SistaError(f"no prompts at {file}: give a JSON file") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SistaError(
            f'{file} must map each finding to {{"positive": [...], "negative": [...]}} ({type(error).__name__}: {error})'
        ) from error
    if not pairs:
        raise SistaError(f"{file} holds no finding; leave --prompts out for the usual prompts")
    empty = [name for name, pair in pairs.items() if not (pair.positive and pair.negative)]
    if empty:
        raise SistaError(f"{file}: {', '.join(empty)} need at least one positive and one negative prompt")
    return pairs


def _texts(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise TypeError(f"{given!r} is no list of sentences")
    return tuple(given)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]

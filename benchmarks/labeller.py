"""How well the rule labeller reads the 3,955 OpenI reports, against their manual indexing terms.

    python benchmarks/labeller.py --openi ../shared/data/openi/NLMCXR_reports.tgz --terms ../shared/data/terms/chexpert_labeler \
        --out results/labeller_openi.json

Truth: the observations that the manual (`major`) terms name, `sista.archives.openi_terms`; reports without terms or without text do not
count. A hash of the report's id draws it into one of two halves: "development", whose texts were read while the rules were mended, and
"held_out", whose texts nobody looked at. Uncertain labels are counted as positive and as negative in turn.

The terms are no transcript of the text: indexers left out what they held for unimportant, and coded what they inferred. So each error is
put into the first kind that fits it, without a reader (`kind_of`), and ids of some are given; report text never enters the result.
The phrase lists of the CheXpert labeler (MIT) serve as a second vocabulary, to tell a mention that we miss from one that is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from sista.archives.openi import OpenI
from sista.archives.openi_terms import LABELS, TERMS, labels_of
from sista.corpus.reports.labeller import Mention
from sista.corpus.reports.observations import observe, spoken_of
from sista.corpus.reports.report import clean_text
from sista.corpus.reports.sections import split_sections, training_text
from sista.corpus.reports.sentences import split_sentences

HALVES = ("development", "held_out")
MISSED = {
    "not in text": "no word of the finding in the report, by our list or by that of the CheXpert labeler: inferred, or seen on the film",
    "missed mention": "the CheXpert labeler's list has a phrase that is there, ours has none",
    "denied": "all our mentions are denied: a wrong negation, or a term against the text",
    "hedge": "the report hedges; an error only when uncertain counts as negative",
}
EXTRA = {
    "hedge": "the report hedges; an error only when uncertain counts as positive",
    "missed negation": "every affirmed mention stands in a sentence that also has a negation word",
    "contradicted": "the report both affirms and denies it",
    "said, indexed otherwise": "affirmed, and a term of another observation for the same shadow stands there (opacity, infiltrate, ...)",
    "said, qualified": "affirmed as old, resolved, chronic, minimal, unchanged or borderline; indexers often leave those out",
    "said, not indexed": "affirmed in plain words, without a term",
}
ALIKE = {"lung opacity", "consolidation", "pneumonia", "atelectasis", "edema", "lung lesion"}
_NEGATION = re.compile(r"\b(?:no|not|without|negative|free|absent|resolved|removed|neither|nor|clear)\b", re.IGNORECASE)
_QUALIFIED = re.compile(
    r"\b(?:old|healed|remote|chronic|prior|previous|resol\w+|minimal\w*|borderline|unchanged|stable|calcified|trace|tiny|mild\w*|top)\b",
    re.IGNORECASE,
)


def half_of(study_id: str) -> str:
    """The half of a report: the parity of the SHA-256 of its id."""
    return HALVES[hashlib.sha256(study_id.encode()).digest()[0] % 2]


def second_vocabulary(folder: Path | None) -> dict[str, re.Pattern[str]]:
    """Observation -> one pattern of the CheXpert labeler's mention phrases; empty without the folder. A `_` there is a word's edge."""
    patterns = {}
    for file in sorted((folder / "phrases" / "mention").glob("*.txt")) if folder else ():
        phrases = [re.escape(line).replace("_", r"\b") for line in file.read_text().split("\n") if line]
        patterns[file.stem.replace("_", " ")] = re.compile("|".join(phrases), re.IGNORECASE)
    return patterns


def kind_of(
    name: str, text: str, terms: list[str], said: list[tuple[str, Mention]], value: int | None, other: re.Pattern[str] | None
) -> str:
    """Why a label and the terms disagree. said: the sentences that speak of `name`; value: the label; terms: positive observations."""
    if name in terms:
        if value == -1:
            return "hedge"
        if said:
            return "denied"
        words = [re.escape(head.split(",")[0].removeprefix("pulmonary ")) for head in TERMS[_title(name)]]
        in_text = re.search("|".join(words), text, re.IGNORECASE) or (other and other.search(text))
        return "missed mention" if in_text else "not in text"
    if value == -1:
        return "hedge"
    affirmed = [(sentence, mention) for sentence, mention in said if mention.polarity == "affirmed"]
    if all(_NEGATION.search(sentence) for sentence, _ in affirmed):
        return "missed negation"
    if any(mention.polarity == "denied" for _, mention in said):
        return "contradicted"
    if name in ALIKE and ALIKE & set(terms):
        return "said, indexed otherwise"
    if all(_QUALIFIED.search(sentence) for sentence, _ in affirmed):
        return "said, qualified"
    return "said, not indexed"


def _title(name: str) -> str:
    return " ".join(word.capitalize() for word in name.split())


def scores(truth: list[int], guess: list[int]) -> dict[str, float | int]:
    """Precision, recall and F1 of binary labels, with the counts."""
    both = Counter(zip(truth, guess, strict=True))
    hit, extra, missed = both[1, 1], both[0, 1], both[1, 0]
    return {
        "positives": hit + missed,
        "found": hit + extra,
        "precision": round(hit / max(1, hit + extra), 4),
        "recall": round(hit / max(1, hit + missed), 4),
        "f1": round(2 * hit / max(1, 2 * hit + extra + missed), 4),
    }


def measure(openi: Path, terms_folder: Path | None, examples: int = 8) -> dict[str, Any]:
    """Read all reports, score each half, classify the errors."""
    archive = OpenI(openi, text_only=True)
    other = second_vocabulary(terms_folder)
    rows: dict[str, list[tuple[str, str, dict[str, float], dict[str, int]]]] = {half: [] for half in HALVES}
    started, read = time.perf_counter(), 0
    for index, report in enumerate(archive.reports):
        truth = labels_of(report.major)
        text = clean_text(training_text(split_sections(archive[index].report)))
        if truth and text:
            rows[half_of(report.study_id)].append((report.study_id, text, truth, observe(text)))
            read += 1
    seconds = time.perf_counter() - started
    result: dict[str, Any] = {"reports": read, "milliseconds_per_report": round(1000 * seconds / read, 2)}
    for half, members in rows.items():
        result[half] = {"reports": len(members), **_score(members), "errors": _errors(members, other, examples)}
    return result


def _score(members: list[tuple[str, str, dict[str, float], dict[str, int]]]) -> dict[str, Any]:
    scored: dict[str, Any] = {}
    for key, positive in (("uncertain_positive", (1, -1)), ("uncertain_negative", (1,))):
        per = {
            name: scores(
                [int(truth[name]) for _, _, truth, _ in members], [int(found.get(name.lower()) in positive) for *_, found in members]
            )
            for name in LABELS
        }
        findings = [name for name in LABELS if name != "No Finding"]
        scored[key] = {
            "macro_f1": round(sum(per[name]["f1"] for name in LABELS) / len(LABELS), 4),
            "macro_f1_without_no_finding": round(sum(per[name]["f1"] for name in findings) / len(findings), 4),
            "per_finding": per,
        }
    return scored


def _errors(
    members: list[tuple[str, str, dict[str, float], dict[str, int]]], other: dict[str, re.Pattern[str]], examples: int
) -> dict[str, Any]:
    """Disagreements of each finding by kind, and ids of some of each; a "hedge" is an error by one way of counting only."""
    counts: dict[str, dict[str, Counter[str]]] = {"missed": defaultdict(Counter), "extra": defaultdict(Counter)}
    ids: dict[str, dict[str, list[str]]] = {"missed": defaultdict(list), "extra": defaultdict(list)}
    for study, text, truth, found in members:
        said = spoken_of(text)
        terms = [name.lower() for name, value in truth.items() if value == 1]
        for name in (label.lower() for label in TERMS):
            value = found.get(name)
            side = "missed" if name in terms else "extra"
            if value == 1 if side == "missed" else value in (0, None):
                continue
            kind = kind_of(name, text, terms, said.get(name, []), value, other.get(name))
            counts[side][name][kind] += 1
            ids[side][f"{name}: {kind}"].append(study)
    return {
        side: {
            "by_kind": dict(sum(per.values(), Counter()).most_common()),
            "per_finding": {name: dict(kinds.most_common()) for name, kinds in per.items()},
            "examples": {key: found[:examples] for key, found in sorted(ids[side].items())},
        }
        for side, per in counts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openi", type=Path, required=True, help="NLMCXR_reports.tgz, or the folder unpacked from it")
    parser.add_argument("--terms", type=Path, help="the folder of the CheXpert labeler's phrase lists (for the kinds of error alone)")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--show", metavar="FINDING: KIND", help="print the sentences of one kind, of the development half only")
    parser.add_argument("--grep", default="", help="with --show: only sentences with this pattern")
    arguments = parser.parse_args()
    if arguments.show:
        _show(arguments)
        return
    result = {
        "command": "python " + " ".join(sys.argv),
        "kinds": {"missed": MISSED, "extra": EXTRA},
        **measure(arguments.openi, arguments.terms),
    }
    for half in HALVES:
        print(half, {key: result[half][key]["macro_f1"] for key in ("uncertain_positive", "uncertain_negative")})
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _show(arguments: argparse.Namespace) -> None:
    archive = OpenI(arguments.openi, text_only=True)
    wanted = measure(arguments.openi, arguments.terms, 10_000)["development"]["errors"]
    name = arguments.show.split(": ")[0]
    for side in ("missed", "extra"):
        for study in wanted[side]["examples"].get(arguments.show, ()):
            index = next(i for i, report in enumerate(archive.reports) if report.study_id == study)
            text = clean_text(training_text(split_sections(archive[index].report)))
            said = [sentence for sentence, _ in spoken_of(text).get(name, [])] or split_sentences(text)
            said = said[:3] if len(said) < 4 else [s for s in said if re.search(arguments.grep, s, re.IGNORECASE)]
            print(f"{side} {study} {archive.reports[index].major}\n    " + "\n    ".join(said))


if __name__ == "__main__":
    main()

"""The report of a study, written from its findings alone, with the words that speak of each finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sista.archives.phantom import phrases
from sista.archives.phantom.draws import Draws
from sista.archives.phantom.findings import DEVICES, LABELS, Finding
from sista.archives.phantom.phrases import LOBES, WORDINGS

HEDGE = 0.18  # of the findings that are not devices
TO_DENY = {
    "pleural effusion": 3.0,
    "pneumothorax": 3.0,
    "consolidation": 2.5,
    "edema": 1.4,
    "nodule": 0.8,
    "mass": 0.6,
    "cardiomegaly": 0.6,
    "atelectasis": 0.5,
    "central line": 0.15,
    "tube": 0.15,
    "pacemaker": 0.15,
}


@dataclass(frozen=True, slots=True)
class Report:
    """The text, and for each finding (by name) a contiguous part of the text that speaks of it."""

    text: str
    phrases: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Said:
    """A phrase before it is put into a sentence: its words, its article and whether it is plural."""

    words: str
    article: str
    plural: bool


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _a(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _wording(finding: Finding) -> phrases.Wording:
    return WORDINGS[finding.kind or finding.label]


def _say(draws: Draws, finding: Finding) -> _Said:
    """One of the many ways to name a finding with its side, zone and degree."""
    wording = _wording(finding)
    noun, article = draws.choice(wording.nouns)
    grade = draws.choice(wording.grades[min(2, int(finding.severity * 3))]) if draws.chance(0.75) else ""
    form = draws.choice(wording.forms)
    if noun.startswith("apical") and "apex" in form:
        form = "{grade} {side} {noun}"
    if "lobe}" in form and not finding.zone:
        form = wording.forms[0]
    lobe = LOBES.get((finding.side, finding.zone), "")
    words = form.format(grade=grade, noun=noun, side=finding.side, zone=finding.zone, lobe=lobe).strip()
    return _Said(words, article, False)


def _say_both(draws: Draws, finding: Finding) -> _Said:
    """Two findings that differ by side only, in one phrase."""
    grade = draws.choice(_wording(finding).grades[min(2, int(finding.severity * 3))])
    if finding.label == "pleural effusion":
        form = draws.choice(
            ("{grade} bilateral pleural effusions", "{grade} effusions on both sides", "{grade} bilateral effusions at the bases")
        )
    elif finding.label == "consolidation":
        form = draws.choice(("{grade} consolidations in both {zone} lungs", "{grade} bilateral {zone} zone infiltrates"))
    else:
        form = draws.choice(("{grade} bandlike opacities in both {zone} lungs", "{grade} bilateral {zone} zone bandlike opacities"))
    return _Said(form.format(grade=grade, zone=finding.zone).strip(), "", True)


def _sentence(draws: Draws, said: _Said, hedged: bool, follows: bool) -> tuple[str, str]:
    """A sentence that affirms the phrase, and the phrase as it stands there."""
    frames = phrases.HEDGED if hedged else phrases.CERTAIN
    frame = draws.choice(frames)
    while frame.startswith("Again") and not follows:
        frame = draws.choice(frames)
    with_article = _a(said.words) if said.article else said.words
    text = frame.format(p=said.words, P=_upper(said.words), a=with_article, A=_upper(with_article), be="are" if said.plural else "is")
    phrase = said.words if said.words in text else _upper(said.words)
    return text, phrase


def _denials(draws: Draws, absent: Sequence[str], count: int) -> list[str]:
    """Sentences that deny up to `count` of the absent labels, alone or in lists."""
    pool = list(absent)
    picked: list[str] = []
    while pool and len(picked) < count:
        label = draws.weighted(pool, [TO_DENY[name] for name in pool])
        pool.remove(label)
        picked.append(draws.choice(WORDINGS["endotracheal" if label == "tube" else label].absent))
    sentences = []
    while picked:
        take = min(len(picked), draws.weighted((1, 2, 3), (0.4, 0.4, 0.2)))
        group, picked = picked[:take], picked[take:]
        if take == 1:
            sentences.append(draws.choice(phrases.DENIED_ONE).format(n=group[0]))
        else:
            listed = ", ".join(group[:-1]) + " or " + group[-1]
            sentences.append(draws.choice(phrases.DENIED_MORE).format(l=listed))
    return sentences


def _groups(draws: Draws, findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings to be said together: mostly one by one, but pairs that differ by side alone often share a phrase."""
    groups: list[list[Finding]] = []
    for finding in findings:
        last = groups[-1] if groups else []
        twins = len(last) == 1 and last[0].label == finding.label and last[0].zone == finding.zone and finding.label != "tube"
        if twins and {last[0].side, finding.side} == {"left", "right"} and draws.chance(0.7):
            last.append(finding)
        else:
            groups.append([finding])
    return groups


def write_report(
    draws: Draws, findings: Sequence[Finding], change: Mapping[str, str], has_prior: bool, view: str, omissions: float = 0.0
) -> Report:
    """Findings and impression in random words and order.

    omissions: the share of findings, devices aside, that the reader has missed: not denied by name either, but lungs may be called clear.
    """
    there = {f.label for f in findings}
    if omissions:
        findings = [f for f in findings if f.label in DEVICES or not draws.chance(omissions)]
    present = {f.label for f in findings}
    absent = [label for label in LABELS if label not in there]
    change = {label: outcome for label, outcome in change.items() if label in present or label not in there}
    disease = present - DEVICES
    spoken: dict[str, str] = {}
    body: list[str] = []
    groups = _groups(draws, findings)
    for group in groups:
        said = _say_both(draws, group[0]) if len(group) == 2 else _say(draws, group[0])
        label = group[0].label
        hedged = label not in DEVICES and draws.chance(HEDGE)
        text, phrase = _sentence(draws, said, hedged, change.get(label, "new") != "new")
        spoken.update({f.name: phrase for f in group})
        body.append(text)
        if change.get(label) not in (None, "resolved") and group[0] is next(f for f in findings if f.label == label) and draws.chance(0.75):
            noun = draws.choice(_wording(group[0]).nouns)[0]
            body.append(draws.choice(phrases.CHANGED[change[label]]).format(n=noun))
    for label, outcome in change.items():
        if outcome == "resolved" and draws.chance(0.85):
            noun = draws.choice(WORDINGS["endotracheal" if label == "tube" else label].absent)
            body.append(draws.choice(phrases.CHANGED["resolved"]).format(n=noun))
            absent = [name for name in absent if name != label]
    if not disease & {"consolidation", "nodule", "mass", "atelectasis", "edema", "pleural effusion", "pneumothorax"} and draws.chance(0.65):
        body.append(draws.choice(phrases.CLEAR_LUNGS))
    if "cardiomegaly" not in there and draws.chance(0.5):
        body.append(draws.choice(phrases.NORMAL_HEART))
        absent = [name for name in absent if name != "cardiomegaly"]
    if "pleural effusion" not in there and draws.chance(0.2):
        body.append(draws.choice(phrases.CLEAR_ANGLES))
    body += _denials(draws, absent, draws.weighted((1, 2, 3, 4, 5), (0.1, 0.25, 0.3, 0.2, 0.15)))
    for _ in range(draws.weighted((0, 1, 2, 3), (0.25, 0.35, 0.25, 0.15))):
        line = draws.choice(phrases.BACKGROUND)
        if line not in body:
            body.append(line)
    body = draws.shuffled(body) if draws.chance(0.8) else body
    if draws.chance(0.55):
        body.insert(0, draws.choice(phrases.TECHNIQUE[view]))
    if draws.chance(0.5):
        body.insert(min(1, len(body)), draws.choice(phrases.PRIOR if has_prior else phrases.NO_PRIOR))
    impression = _impression(draws, groups, bool(disease))
    return Report("FINDINGS: " + " ".join(body) + " IMPRESSION: " + " ".join(impression), spoken)


def _impression(draws: Draws, groups: Sequence[Sequence[Finding]], diseased: bool) -> list[str]:
    """The main findings again in other words, or that there is nothing."""
    if not diseased:
        lines = [draws.choice(phrases.NORMAL_IMPRESSION)]
        if groups and draws.chance(0.4):
            lines.append(_upper(_say(draws, groups[0][0]).words) + ".")
        return lines
    ranked = sorted(groups, key=lambda group: (group[0].label in DEVICES, -group[0].severity))
    lines = []
    for group in ranked[: draws.weighted((1, 2, 3), (0.35, 0.4, 0.25))]:
        said = _say_both(draws, group[0]) if len(group) == 2 else _say(draws, group[0])
        lines.append(_upper(said.words) + ".")
    if draws.chance(0.2):
        lines.append(draws.choice(phrases.FOLLOW_UP_ADVICE))
    return lines

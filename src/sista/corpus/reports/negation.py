"""Which parts of a sentence are denied or doubted: cues and their scope, after NegEx (Chapman et al., J Biomed Inform 2001).

A cue before its object rules until the next terminator; a cue behind its object rules back to the terminator before it. A pseudo cue
("no change in") looks like a negation and is none. "likely", "consistent with" and "compatible with" affirm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_QUALIFIER = (
    r"(?:(?:definite|acute|significant|convincing|radiographic|obvious|focal|large|visible|new|other|discernible|appreciable|relevant"
    r"|substantial|short|gross|marked|major)\s+)*"
)
_SEEN = r"(?:seen|identified|present|visuali[sz]ed|evident|demonstrated|appreciated|detected|noted)"
_BEFORE_NOW = r"(?:previously|before|(?:on|in|at)\s+(?:the\s+|any\s+)?(?:most\s+)?(?:recent\s+)?(?:prior|previous|earlier|comparison))"
_PSEUDO = (
    rf"no\s+{_QUALIFIER}(?:interval\s+)?(?:change|increase|decrease|improvement|progression|worsening|deterioration)(?:\s+(?:in|of))?",
    rf"without\s+{_QUALIFIER}(?:interval\s+)?(?:change|improvement|progression|worsening|deterioration)(?:\s+(?:in|of))?",
    r"not\s+(?:significantly\s+|substantially\s+)?(?:changed|only|necessarily)",
    r"no\s+longer\s+as",
    r"(?:(?:is|are|was|were|has|have)\s+)?(?:almost|nearly|largely|partially|incompletely|not)\s+(?:completely\s+)?(?:resolved|cleared)",
    r"(?:near[\s-]?complete|partial|incomplete|almost\s+complete)\s+(?:resolution|clearing)\s+of",
    # what was not seen before is new
    rf"(?:(?:is|are|was|were)\s+)?not\s+(?:well\s+|clearly\s+|definitely\s+)?{_SEEN}\s+{_BEFORE_NOW}",
)
_DOUBT_BEFORE = (
    r"(?:can|could)\s*(?:not|n't|'t)\s+(?:be\s+)?(?:entirely\s+|completely\s+)?(?:exclude|rule\s+out)",
    r"possibl[ey]",
    r"possibility\s+of",
    r"(?:may|might|could)(?:\s+(?:\w+\s+)?(?:represent|reflect|be|indicate|suggest))?(?:\s+(?:due|secondary|related)\s+to)?",
    r"questionable",
    r"question(?:\s+of)?",
    r"suspect(?:ed)?",
    r"potential(?:ly)?",
    r"(?:unlikely|less\s+likely)",
    r"either(?!\s+(?:side|lung|base|apex|hem\w+|costo\w+|cp|of|the|view))",
    r"difficult\s+to\s+(?:\w+ly\s+)?exclude",
    r"worrisome\s+for",
    r"(?:correlate|correlation)(?:\s+\w+){0,3}?\s+for",
    r"consider",
    r"to\s+(?:exclude|evaluate(?:\s+for)?|assess\s+for|identify|ensure)",
    r"(?:evaluation|assessment)\s+(?:of|for)",
    r"suspicio(?:us|n)(?:\s+(?:for|of))?",
    r"concern(?:ing)?(?:\s+for)?",
    r"equivocal",
    r"borderline",
    r"rule\s+out",
    r"differential",
    r"doubtful",
    r"indeterminate",
    r"perhaps",
)
_DENIAL_BEFORE = (
    r"no\s+(?:(?!(?:or|and|nor)\b)\w+\s+){0,3}?(?:evidence|sign|signs|indication|suggestion|suspicion|findings?)\s+(?:of|for|to\s+suggest)",
    r"no\s+longer",
    r"negative\s+for",
    r"free\s+(?:of|from)",
    r"clear\s+of",
    r"clear(?=\s+(?:focal\s+)?(?:air\s?space|infiltrat|consolidat))",  # "clear XXXX airspace disease"
    r"absence\s+of",
    r"lack\s+of",
    r"without(?:\s+(?:any\s+)?evidence\s+of)?",
    r"devoid\s+of",
    r"(?:interval\s+)?(?:resolution|removal)\s+of",
    r"rather\s+than",
    r"neither",
    r"nor",
    r"never",
    r"not",
    r"no",
    r"denies",
    r"ruled\s+out\s+for",
    r"(?:is|are)n't",
    r"absent",
    r"resolved",
)
_DOUBT_BEHIND = (
    r"(?:can|could)\s*(?:not|n't|'t)\s+(?:entirely\s+|completely\s+)?be\s+(?:entirely\s+|completely\s+)?(?:excluded|ruled\s+out)",
    r"(?:is|are)?\s*not\s+(?:entirely\s+|completely\s+)?excluded",
    r"(?:is|are)\s+(?:possible|questionable|suspected|difficult\s+to\s+exclude(?=\s*(?:[.,;)]|$)))",
    r"(?:is|are|seems?|appears?)\s+(?:\w+\s+)?(?:less\s+likely|unlikely)(?!\s+to\s+(?:represent|reflect|be)\b)",
    r"(?:less\s+likely|unlikely)(?=\s*(?:[.,;)]|$))",
    r"(?:is|are)\s+also\s+possible",
    r"(?:may|might|could)\s+(?:also\s+)?be\s+present",
    r"(?:is|are|appears?|remains?|silhouette|size|heart|contours?)\s+(?:at\s+)?(?:mildly\s+)?borderline(?:\s+(?:in|by|enlarged|prominent|size))*",
    r"(?<=\w\s)suspected(?=[.,;]|$)",
)
_NONE = rf"(?:none|no|absent|negative|(?:none|not)\s+{_SEEN})(?=\s*(?:[.;,]|$))"  # of a list, "Effusion: none seen."
_DENIAL_BEHIND = (
    r"(?:is|are|was|were)\s+(?:(?:not|no\s+longer)\s+(?:\w+\s+){0,2}?(?:seen|identified|present|visuali[sz]ed|evident|demonstrated|appreciated|detected|apparent|noted|visible|observed|enlarged)|absent)",
    r"(?:has|have)\s+(?:completely\s+|now\s+|since\s+)*(?:resolved|cleared|been\s+removed|disappeared)",
    r"(?:is|are|was|were)\s+(?:now\s+)?(?:resolved|ruled\s+out|removed|excluded)",
    r"not\s+(?:seen|identified|present|visuali[sz]ed|evident|demonstrated|appreciated|detected|visible|observed|enlarged)",
    r"not\s+(?:well|clearly|definitely|definitively)[\s-]+(?:seen|identified|visuali[sz]ed|demonstrated|appreciated)",
    r"(?<=\w\s)resolved(?=[.,;]|$)",
    r"\bno\b(?=\.?$)",
    rf"(?:(?<=[:-]\s)|(?<=:)){_NONE}",
)
_TERMINATOR = re.compile(
    rf";|:(?!\s*{_NONE})|\bbut\b|\bhowever\b|\balthough\b|\bthough\b|\bexcept\b|\baside\s+from\b|\bapart\s+from\b|\bother\s+than\b|\bwhereas\b|\bwhile\b|\byet\b|\bstatus\s+post\b|\bwhich\b|\bsecondary\s+to\b|\bdue\s+to\b"
    r"|(?:,|\band\b)\s*(?:and\s+)?(?=(?:there|the|it|this|heart)\s+(?:\w+\s+){0,4}?(?:is|are|has|have|remains?|appears?|shows?)\b)"
    r"|,\s*(?=(?:with|consistent|compatible|stable|unchanged|likely|probably)\b)"
    r"|(?:,|\band\b|\bwith\b)\s*(?=(?:a\s+|an\s+|bilateral\s+)?(?:tiny|small|mild|moderate|severe|minimal|trace|subtle|persistent|unchanged|stable|worsening|residual|increas(?:ed|ing)|there)\b(?!.*\b(?:or|nor)\b))"
    r"|(?:,|\bwith\b)\s*(?=(?:left|right|bibasilar)\b(?!.*\b(?:or|nor)\b))",
    re.IGNORECASE,
)


# of a sentence, the joint behind a statement that has its verb: "The effusion is small and | pneumothorax is not seen."
_STATED = re.compile(
    r"\b(?:is|are|was|were|has|have|remains?|persists?|shows?)\b[^,;]*?(?:,|\band\b)\s*(?=\w)",
    re.IGNORECASE,
)


def _any(patterns: tuple[str, ...]) -> str:
    return "|".join(f"(?:{p})" for p in patterns)


_NO_CUE = re.compile(rf"(?<![\w-])(?:{_any(_PSEUDO)})(?![\w-])", re.IGNORECASE)
_BEHIND = re.compile(rf"(?<![\w-])(?:(?P<doubt>{_any(_DOUBT_BEHIND)})|(?P<denial>{_any(_DENIAL_BEHIND)}))(?![\w-])", re.IGNORECASE)
_BEFORE = re.compile(
    rf"(?<![\w-])(?:(?P<pseudo>{_any(_PSEUDO)})|(?P<doubt>{_any(_DOUBT_BEFORE)})|(?P<denial>{_any(_DENIAL_BEFORE)}))(?![\w-])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Scope:
    """Characters start to end of a sentence, ruled by a cue that begins at `cue`. kind: "denied" or "doubted"."""

    start: int
    end: int
    kind: str
    cue: int


@lru_cache(maxsize=32768)
def scopes(sentence: str) -> tuple[Scope, ...]:
    """The denied and the doubted stretches of one sentence, as offsets."""
    stops = [0, *(m.start() for m in _TERMINATOR.finditer(sentence)), len(sentence)]
    found: list[Scope] = []
    pseudo = [match.span() for match in _NO_CUE.finditer(sentence)]
    taken: list[tuple[int, int]] = []
    for match in _BEHIND.finditer(sentence):
        if any(a < match.end() and match.start() < b for a, b in pseudo):
            continue
        # reach back to the terminator before the cue, and not past a statement that stands by itself
        start = max(stop for stop in stops if stop <= match.start())
        joints = [joint.end() for joint in _STATED.finditer(sentence, start, match.start())]
        start = max([start, *(joint for joint in joints if sentence[joint : match.start()].strip())])
        found.append(Scope(start, match.end(), "doubted" if match["doubt"] else "denied", match.start()))
        taken.append(match.span())
    for match in _BEFORE.finditer(sentence):
        if match["pseudo"] or any(a < match.end() and match.start() < b for a, b in taken):
            continue
        end = min(stop for stop in stops[1:] if stop >= match.end())
        found.append(Scope(match.end(), end, "doubted" if match["doubt"] else "denied", match.start()))
    for match in re.finditer(r"\b(?:versus|vs\.?)(?=\s)", sentence, re.IGNORECASE):
        start = max(stop for stop in stops if stop <= match.start())
        found.append(Scope(start, min(stop for stop in stops[1:] if stop >= match.end()), "doubted", match.start()))
    return tuple(found)


def polarity(sentence: str, start: int, end: int, doubts_inside: bool = True) -> str:
    """ "affirmed", "denied" or "doubted" for the mention at `start`:`end` of a sentence.

    A denial outranks a doubt ("no possible ..."), except that a denial whose cue lies inside the mention counts only when it is a "not" or
    a "no longer". A doubt inside ("heart is borderline enlarged") counts with `doubts_inside`: that of a tip's place is none of its tube.
    """
    kinds = set()
    for scope in scopes(sentence):
        if not scope.start < end <= scope.end:
            continue
        if start <= scope.cue < end:
            cue = sentence[scope.cue : scope.cue + 14].lower()
            if not (doubts_inside if scope.kind == "doubted" else "not" in cue[:8] or ("no longer" in cue and start < scope.cue)):
                continue
        kinds.add(scope.kind)
    return "denied" if "denied" in kinds else "doubted" if "doubted" in kinds else "affirmed"

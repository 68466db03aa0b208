"""The sections of a radiology report: findings, impression, and the headings around them."""

from __future__ import annotations

import re
from itertools import pairwise

from sista.corpus.reports.report import plain_characters

_HEADINGS = {
    "findings": r"findings?(?:(?:\s+and\s+|\s*/\s*|\s*&\s*)impressions?)?|impressions?(?:\s+and\s+|\s*/\s*)findings?"
    r"|radio(?:logical|graphic)\s+findings?|observations?|description|interpretation|(?:reports?|results?|comments?)(?=\s*:)",
    "impression": r"(?:provisional\s+findings\s+)?impressions?(?:\s+\(pfi\)|\s*(?:and|&|/)\s*(?:recommendations?(?:\(s\))?|plan))?|pfi"
    r"|conclusions?|opinion|summary(?!\s*:\s*\d\s*-)|assessment|diagnosis",
    "indication": r"(?:clinical\s+)?(?:indications?|history|information|data|question|statement)|history\s+and\s+indication|symptoms?"
    r"|reason\s+for\s+(?:the\s+)?(?:exam(?:ination)?|study)",
    "comparison": r"comparisons?(?:\s+(?:studies|study|films?|exams?))?",
    "technique": r"techniques?|procedures?|views?",
    "examination": r"exam(?:ination)?s?|study|type\s+of\s+exam",
    "recommendation": r"recommendations?(?:\(s\))?|follow-?up",
    "notification": r"notifications?",
    "wet_read": r"wet\s+read(?:\s+version\s+#?\d+)?(?:(?:[ \t]+(?:_+|\d\S*|[AP]M))+(?=[ \t]*$))?|preliminary\s+(?:read|interpretation)",
    "category": r"summary(?=\s*:\s*\d\s*-)",
    "addendum": r"(?:final\s+)?addend(?:um|a)(?:\s+#?\d+)?",
}
_KNOWN = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _HEADINGS.items())
# Of a report on one line, headings in capitals also where no stop stands before them
_FLAT = r"(?:(?:CLINICAL )?(?:INDICATION|HISTORY)|COMPARISON|TECHNIQUE|FINDING|IMPRESSION|CONCLUSION)S?:"
# "I have personally reviewed the images for this examination and agree with the report transcribed above."
_SIGNS = r"(?:as\s+the\s[^.\n]{1,60},\s*)?I\b(?:,(?:[^.\n]|\bDr\.){1,80},)?\s+have\s+(?:personally\s+)?(?:re)?viewed\b[^.]{1,200}\bagree"
# At the start of a line in any case; inside a line only after a sentence's end and with a capital.
_HEADING = re.compile(
    rf"(?:^|(?<=[.!?])[ \t]+(?=[A-Z])|(?<=\S)[ \t]+(?={_FLAT}))[ \t]*(?i:{_KNOWN})[ \t]*(?::|-{{1,2}}[ \t]|(?=[ \t]*$))"
    # "PORTABLE AP CHEST, 8:14 A.M. ON ___:" is a heading, too; a sentence in capitals before one is not
    r"|^[ \t]*(?P<other>[A-Z](?:[A-Z0-9 /&,()_'#-]|(?<=\d):(?=\d)|\.(?!\s)|(?<=\b[A-Z])\.|(?<=\b(?:DR|NO))\.){2,70}):(?!\d)"
    # a ruled line or the banner of the final text ends a wet read or what else stands above it
    r"|^[ \t]*(?P<banner>_{10,}|-{10,}|={10,}|(?:FINAL|PRELIMINARY)\s+REPORT|REPORT)[ \t]*$"
    rf"|(?:^|(?<=[.!?])[ \t]+)[ \t]*(?P<attestation>(?=(?i:{_SIGNS})))",
    re.MULTILINE,
)
_DESCRIBES_FILM = re.compile(r"CHEST|RADIOGRAPH|VIEW|LATERAL|PORTABLE|FRONTAL|\b[AP]P?A?\b|\bCXR\b|X-RAY")
# Its heading says what the text under it is of ("CARDIAC: Enlarged."), and stays with it
_ORGAN = re.compile(
    r"LUNG|HEART|CARDI|MEDIASTIN|PLEURA|BONE|OSSEOUS|SKELET|HIL[AUI]|DIAPHRAGM|SOFT TISSUE|AIRWAY|TRACHEA|VASC|ABDOM|\bLINES?\b|\bTUBES?\b"
    r"|DEVICE|HARDWARE"
)
# Heading within findings or impression that ends them; any other ("LUNGS:", "LINES AND TUBES:") is a part of them
_ENDS = re.compile(
    r"SIGN(?!IF|AL|S\b)|DICTAT|TRANSCRI|APPROV|VERIFI|REVIEW|ATTENDING|RADIOLOGIST|RESIDENT|PHYSICIAN|PROVIDER|COMMUNICAT|DISCUSS|ACCESSION|BILLING"
    r"|\b(?:BY|DATE|TIME|MD|DR|CC|ICD|CPT|CODES?|JOB|ID|END)\b"
)
_ABOUT = ("indication", "comparison", "technique", "examination")
_LINE_END = re.compile("\r\n?|[\u0085\u2028\u2029]")
_WITHIN = re.compile(r"[^\W_]\n[ \t]*[a-z][^\n]*\Z")  # a small letter below an unfinished line goes on with it
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_ITEM = re.compile(r"\s*(?:[-*\u2022]+(?=\s|[A-Z])|\(?\d{1,2}[.)]\s+[A-Z])")
_WRAPPED = 60  # characters; prose is wrapped at no less
_OPEN = re.compile(
    r"\b(?:an?|the|of|and|or|in|with|is|are|was|were|to|on|at|by|for|from|as|no|has|have|which|that|left|right)$", re.IGNORECASE
)
_STAMP = re.compile(r"\A(?:_{2,}|\d{1,2}:\d{2}|\d{1,4}|[AP]\.?M\.?|[A-Z]{2,4}(?=\s+_)|[/,.\s-])+(?:\n|\Z)")  # who read it, and when


def split_sections(text: str) -> dict[str, str]:
    """Section name -> its text; what stands under no heading is the `body`.

    Names: findings, impression, indication, comparison, technique, examination, recommendation, notification, wet_read, addendum, category
    ("SUMMARY: 2-ABNORMAL", a code), attestation ("I have reviewed the images and agree with ..."), body. An unknown heading in capitals
    that names the film ("CHEST, PA AND LATERAL:") opens `body`; so does one that names a part of the chest ("CARDIAC:"), which stays there
    with its text, and a banner ("FINAL REPORT") or a ruled line; any other opens `other`. Within findings and impression unknown headings
    ("LUNGS:") stay there with their text, unless they tell who signed. Where there is neither, what follows the first blank line of the
    last of indication, comparison, technique and examination is `body`. A section that comes twice is joined, unless both say the same.
    The stamp behind "WET READ:" (reader and time, as far as privacy left them) is dropped; other marks `___` and `XXXX` stay for
    `clean_text`.
    """
    text = _LINE_END.sub("\n", plain_characters(text))
    parts: dict[str, list[str]] = {}
    name, start, capital = "body", 0, False
    for match in [*_HEADING.finditer(text), None]:
        if match and match["other"] and name in ("findings", "impression") and not _ENDS.search(match["other"]):
            continue
        if match and capital and name in ("findings", "impression") and _WITHIN.search(text, 0, match.end()):
            continue
        end = match.start() if match else len(text)
        piece = text[start:end].strip()
        if match is None and name in _ABOUT and not {"findings", "impression"} & set(parts):
            piece, *under_no_heading = _BLANK_LINE.split(piece, maxsplit=1)
            if under_no_heading:
                parts.setdefault("body", []).append(under_no_heading[0])
        if name in ("wet_read", "addendum"):
            piece = _STAMP.sub("", piece).strip()
        if piece and piece not in parts.setdefault(name, []):
            parts[name].append(piece)
        if match:
            ended = name in ("findings", "impression") and bool(piece)
            name, start, capital = match.lastgroup or "other", match.end(), match.group().lstrip()[:1].isupper()
            if name == "banner" and ended and not match["banner"][0].isalpha():
                name = "other"  # a line ruled below the report: who read it, whom they told
            heading = match["other"] or ""
            organ = _ORGAN.search(heading) and not _DESCRIBES_FILM.search(heading)
            if name == "banner" or organ or _DESCRIBES_FILM.search(heading):
                name, start = "body", match.start() if organ else start
    return {section: "\n".join(pieces) for section, pieces in parts.items() if pieces}


def training_text(sections: dict[str, str]) -> str:
    """What a film is paired with: findings, or the body where there are none, and impression. Each part, and each line of a list, ends in
    a stop. A body in capitals above an impression that is not is a title, and left out.

    A line ends a sentence before a blank line and before an item ("-", "2."), and where a capital follows that would have fitted on it, so
    that it was not wrapped there; not behind a word that needs another ("of"). A wet read is the draft of what the final text says, an
    addendum mostly says whom the reader told: neither is trained on.
    """
    findings, impression, body = (sections.get(name, "") for name in ("findings", "impression", "body"))
    title = impression and body.isupper() and not impression.isupper()
    kept = [findings or ("" if title else body), impression]
    stopped = [_with_stops(part) for part in kept if part.strip()]
    return "\n".join(part if part.rstrip().endswith((".", "!", "?")) else part.rstrip() + "." for part in stopped)


def _with_stops(part: str) -> str:
    lines = part.split("\n")
    widest = max(_WRAPPED, *(len(line.rstrip()) for line in lines))
    for place, (line, below) in enumerate(pairwise(lines)):
        line, first = line.rstrip(), below.split(maxsplit=1)[:1]
        fits = bool(first) and first[0][0].isupper() and len(line) + 1 + len(first[0]) <= widest
        if line and line[-1] not in ".!?:;," and not _OPEN.search(line) and (not first or _ITEM.match(below) or fits):
            lines[place] = line + "."
    return "\n".join(lines)

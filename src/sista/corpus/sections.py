"""The sections of a radiology report: findings, impression, and the headings around them."""

from __future__ import annotations

import re

_HEADINGS = {
    "findings": r"findings?(?:\s+and\s+impressions?)?|radio(?:logical|graphic)\s+findings?|observations?|description|interpretation",
    "impression": r"impressions?|conclusions?|opinion|summary|assessment|diagnosis",
    "indication": r"(?:clinical\s+)?(?:indications?|history|information|data)|history\s+and\s+indication|symptoms?"
    r"|reason\s+for\s+(?:the\s+)?(?:exam(?:ination)?|study)",
    "comparison": r"comparisons?(?:\s+(?:studies|study|films?|exams?))?",
    "technique": r"techniques?|procedures?|views?",
    "examination": r"exam(?:ination)?s?|study|type\s+of\s+exam",
    "recommendation": r"recommendations?(?:\(s\))?|follow-?up",
    "notification": r"notifications?|wet\s+read|addendum",
}
_KNOWN = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _HEADINGS.items())
# At the start of a line in any case; inside a line only after a sentence's end and with a capital.
_HEADING = re.compile(
    rf"(?:^|(?<=[.!?])[ \t]+(?=[A-Z]))[ \t]*(?i:{_KNOWN})[ \t]*(?::|-{{1,2}}[ \t]|(?=[ \t]*$))"
    r"|^[ \t]*(?P<other>[A-Z][A-Z0-9 /&,()-]{2,50}):",
    re.MULTILINE,
)
_DESCRIBES_FILM = re.compile(r"CHEST|RADIOGRAPH|VIEW|LATERAL|PORTABLE|FRONTAL|\b[AP]P?A?\b|LUNG|HEART|MEDIASTIN|PLEURA|BONE")
_BANNER = re.compile(r"^\s*(?:FINAL REPORT|PRELIMINARY REPORT|REPORT)\s*$", re.MULTILINE)


def split_sections(text: str) -> dict[str, str]:
    """Section name -> its text; what stands under no heading is the `body`.

    Names: findings, impression, indication, comparison, technique, examination, recommendation, notification, body. An unknown heading
    in capitals ("CHEST, PA AND LATERAL:") that names the film or a part of the chest opens `body`, any other opens `other`. A section
    that comes twice is joined, unless both say the same.
    """
    text = _BANNER.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    parts: dict[str, list[str]] = {}
    name, start = "body", 0
    for match in [*_HEADING.finditer(text), None]:
        end = match.start() if match else len(text)
        piece = text[start:end].strip()
        if piece and piece not in parts.setdefault(name, []):
            parts[name].append(piece)
        if match:
            name, start = match.lastgroup or "other", match.end()
            if name == "other" and _DESCRIBES_FILM.search(match["other"]):
                name = "body"
    return {section: "\n".join(pieces) for section, pieces in parts.items() if pieces}


def training_text(sections: dict[str, str]) -> str:
    """What a film is paired with: findings and impression; without either, the body. Each part ends in a full stop."""
    kept = [sections.get("findings", ""), sections.get("impression", "")]
    if not any(kept):
        kept = [sections.get("body", "")]
    return "\n".join(part if part.rstrip().endswith((".", "!", "?")) else part.rstrip() + "." for part in kept if part.strip())

"""The sections of a radiology report: findings, impression, and the headings around them."""

from __future__ import annotations

import re

_HEADINGS = {
    "findings": r"findings?(?:(?:\s+and\s+|\s*/\s*|\s*&\s*)impressions?)?|impressions?(?:\s+and\s+|\s*/\s*)findings?"
    r"|radio(?:logical|graphic)\s+findings?|observations?|description|interpretation",
    "impression": r"(?:provisional\s+findings\s+)?impressions?(?:\s+\(pfi\))?|pfi|conclusions?|opinion|summary|assessment|diagnosis",
    "indication": r"(?:clinical\s+)?(?:indications?|history|information|data|question|statement)|history\s+and\s+indication|symptoms?"
    r"|reason\s+for\s+(?:the\s+)?(?:exam(?:ination)?|study)",
    "comparison": r"comparisons?(?:\s+(?:studies|study|films?|exams?))?",
    "technique": r"techniques?|procedures?|views?",
    "examination": r"exam(?:ination)?s?|study|type\s+of\s+exam",
    "recommendation": r"recommendations?(?:\(s\))?|follow-?up",
    "notification": r"notifications?",
    "wet_read": r"wet\s+read(?:\s+version\s+#?\d+)?(?:(?:[ \t]+(?:_+|\d\S*|[AP]M))+(?=[ \t]*$))?|preliminary\s+(?:read|interpretation)",
    "addendum": r"(?:final\s+)?addend(?:um|a)(?:\s+#?\d+)?",
}
_KNOWN = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _HEADINGS.items())
# At the start of a line in any case; inside a line only after a sentence's end and with a capital.
_HEADING = re.compile(
    rf"(?:^|(?<=[.!?])[ \t]+(?=[A-Z]))[ \t]*(?i:{_KNOWN})[ \t]*(?::|-{{1,2}}[ \t]|(?=[ \t]*$))"
    # "PORTABLE AP CHEST, 8:14 A.M. ON ___:" is a heading, too
    r"|^[ \t]*(?P<other>[A-Z](?:[A-Z0-9 /&,()._'#-]|(?<=\d):(?=\d)){2,70}):(?!\d)"
    # a ruled line or the banner of the final text ends a wet read or what else stands above it
    r"|^[ \t]*(?P<banner>_{10,}|-{10,}|={10,}|(?:FINAL|PRELIMINARY)\s+REPORT|REPORT)[ \t]*$",
    re.MULTILINE,
)
_DESCRIBES_FILM = re.compile(r"CHEST|RADIOGRAPH|VIEW|LATERAL|PORTABLE|FRONTAL|\b[AP]P?A?\b|LUNG|HEART|MEDIASTIN|PLEURA|BONE")
_STAMP = re.compile(r"\A(?:_{2,}|\d{1,2}:\d{2}|\d{1,4}|[AP]\.?M\.?|[A-Z]{2,4}(?=\s+_)|[/,.\s-])+(?:\n|\Z)")  # who read it, and when


def split_sections(text: str) -> dict[str, str]:
    """Section name -> its text; what stands under no heading is the `body`.

    Names: findings, impression, indication, comparison, technique, examination, recommendation, notification, wet_read, addendum, body. An
    unknown heading in capitals ("CHEST, PA AND LATERAL:") that names the film or a part of the chest opens `body`, any other opens
    `other`; so does a banner ("FINAL REPORT") or a ruled line open `body`. A section that comes twice is joined, unless both say the same.
    The stamp behind "WET READ:" (reader and time, as far as privacy left them) is dropped; other marks `___` and `XXXX` stay for
    `clean_text`.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts: dict[str, list[str]] = {}
    name, start = "body", 0
    for match in [*_HEADING.finditer(text), None]:
        end = match.start() if match else len(text)
        piece = text[start:end].strip()
        if name in ("wet_read", "addendum"):
            piece = _STAMP.sub("", piece).strip()
        if piece and piece not in parts.setdefault(name, []):
            parts[name].append(piece)
        if match:
            name, start = match.lastgroup or "other", match.end()
            if name == "banner" or (name == "other" and _DESCRIBES_FILM.search(match["other"])):
                name = "body"
    return {section: "\n".join(pieces) for section, pieces in parts.items() if pieces}


def training_text(sections: dict[str, str]) -> str:
    """What a film is paired with: findings and impression; without either, the body. Each part ends in a full stop.

    A wet read is the draft of what the final text says, an addendum mostly says whom the reader told: neither is trained on.
    """
    kept = [sections.get("findings", ""), sections.get("impression", "")]
    if not any(kept):
        kept = [sections.get("body", "")]
    return "\n".join(part if part.rstrip().endswith((".", "!", "?")) else part.rstrip() + "." for part in kept if part.strip())

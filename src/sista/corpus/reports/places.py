"""The words for side, zone and severity in chest radiograph reports."""

from __future__ import annotations

import re

SIDES = {
    "right": r"right(?:[\s-]sided)?(?!\s+(?:heart|atri|ventric))|\bR\b",
    "left": r"left(?:[\s-]sided)?(?!\s+(?:heart|atri|ventric))|lingula\w*|retrocardiac|\bL\b",
    "bilateral": r"bilateral(?:ly)?|bibasilar|bibasal|biapical|both|bihilar|diffuse(?:ly)?",
}
ZONES = {
    "upper": r"upper(?:[\s-](?:lobes?|zones?|lung|hemithorax|fields?))*|apic(?:al|es)|apex|biapical|suprahilar|superior",
    "mid": r"middle(?:[\s-](?:lobes?|zones?))*|mid(?:[\s-](?:zones?|lung|fields?))*|perihilar|parahilar|hil(?:ar|um|a)|bihilar|lingula\w*",
    "lower": r"lower(?:[\s-](?:lobes?|zones?|lung|hemithorax|fields?))*|bas(?:e|es|al|ilar)|bibas(?:ilar|al)|infrahilar|retrocardiac"
    r"|costophrenic|inferior",
}
SEVERITY = (
    r"tiny|trace|small|minimal(?:ly)?|mild(?:ly)?|slight(?:ly)?|subtle|moderate(?:ly)?"
    r"|marked(?:ly)?|large|severe(?:ly)?|massive|extensive|gross(?:ly)?|tension|patchy|dense|faint|loculated|multiple|multifocal|solitary"
)


def phrase_pattern(patterns: tuple[str, ...] | str) -> re.Pattern[str]:
    """One pattern for all of `patterns`, whole words only, in any case."""
    body = patterns if isinstance(patterns, str) else "|".join(f"(?:{p})" for p in patterns)
    return re.compile(rf"(?<![\w])(?:{body})(?![\w])", re.IGNORECASE)


SIDE_PATTERNS = {side: phrase_pattern(pattern) for side, pattern in SIDES.items()}
ZONE_PATTERNS = {zone: phrase_pattern(pattern) for zone, pattern in ZONES.items()}
SEVERITY_PATTERN = phrase_pattern(SEVERITY)

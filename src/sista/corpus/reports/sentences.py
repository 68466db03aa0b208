"""Sentences of a report, by character offsets."""

from __future__ import annotations

import re

_ABBREVIATION = re.compile(
    r"(?:\b(?:dr|drs|mr|mrs|ms|prof|st|vs|approx|fig|resp|etc|i\.e|e\.g|a\.m|p\.m|ca|incl|min|max|hosp|pt|pts|no)|(?:^|\s)[A-Z])\.$",
    re.IGNORECASE,
)
_MAY_END = re.compile(r"\b(?:etc|a\.m|p\.m)\.$", re.IGNORECASE)  # and does where a capital follows
_NUMBERING = re.compile(r"(?:^|\s)(?:\(?\d{1,2}|[a-hA-H])[.)]$")
_BREAK = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|(?<=[a-z])\.(?=[A-Z][a-z])|\n\s*\n")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The (start, end) offsets of each sentence, without the white space around it.

    A full stop ends a sentence unless it belongs to a number ("2.5 cm"), to an abbreviation ("Dr.", "vs."; "no." only before a digit; not
    "etc." or "p.m." before a capital), to a single initial, or to numbering ("1. Cardiomegaly."). A full stop without a space after it
    ends one before a capitalised word.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _BREAK.finditer(text):
        end = match.end()
        before, after = text[start:end].rstrip(), text[end:].lstrip()
        if match.group().startswith("."):
            if _NUMBERING.fullmatch(before.strip()) or (not before.strip(" .")):
                continue
            if _ABBREVIATION.search(before[-12:]) and after:
                is_no = before[-3:].lower() == "no."
                ends = _MAY_END.search(before[-12:]) and after[0].isupper()
                if (not is_no or after[0].isdigit()) and not ends:
                    continue
        _append(spans, text, start, end)
        start = end
    _append(spans, text, start, len(text))
    return spans


def split_sentences(text: str) -> list[str]:
    """The sentences of a report, in order."""
    return [text[a:b] for a, b in sentence_spans(text)]


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if any(c.isalnum() for c in text[start:end]):
        spans.append((start, end))
    elif spans and end > start:  # a stray point goes with the sentence before it
        spans[-1] = (spans[-1][0], end)

"""Report text: from what an archive holds to what is trained on."""

from __future__ import annotations

import re
import unicodedata

_TYPOGRAPHY = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u00ad": None,
        "\ufeff": None,
    }
)
_REMOVED = re.compile(r"\[\*\*.*?\*\*\]|_{2,}|\b[Xx]{3,}\b(?:-(?=\w))?")
_SPACE_BEFORE_POINT = re.compile(r"\s+([,;:!?]|\.(?!\d))")  # ".8 cm" is a number
_POINTS = re.compile(r"(?:[,;:]\s*)+(?=[.!?])(?!\.\d)|(?<=[.!?])(?:\s*(?:[,;:]|\.(?!\d)))+")


def plain_characters(text: str) -> str:
    """Unicode NFKC with plain quotes and dashes."""
    return unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)


def clean_text(text: str) -> str:
    """One line of clean text: Unicode NFKC, plain quotes and dashes, single spaces, words removed for privacy taken out.

    De-identification marks (`___` of MIMIC-CXR, `XXXX` of OpenI, `[** **]` of MIMIC-III) carry no meaning that an image could show, so
    they go, with the punctuation that they leave behind. Letter case is kept: a tokenizer decides on that.
    """
    text = plain_characters(text)
    text = _REMOVED.sub(" ", text)
    text = "".join(c if c.isprintable() or c.isspace() else " " for c in text)
    text = _SPACE_BEFORE_POINT.sub(r"\1", " ".join(text.split()))
    return _POINTS.sub("", text).strip(" ,;:")

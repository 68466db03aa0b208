"""The one exception that users see: it says what was given, what was expected, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SistaError(Exception):
    """A mistake in the input or the environment that the user can mend.

    The command line prints its text as one line and exits with status 2. The text names the file or setting at fault and the remedy.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names are close to `name`: `"did you mean 'sista'? (known: clip, sista)"`."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = "did you mean " + " or ".join(repr(c) for c in close) + "? " if close else ""
    return f"{hint}(known: {', '.join(known)})"

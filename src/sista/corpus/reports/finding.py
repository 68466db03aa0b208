"""One entry of the lexicon: a finding, the phrases that speak of it, and how it counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One observation. `mentions` speak of it, `absences` deny it without a negation cue ("heart size is normal"); regular expressions.

    parent: the broader observation that it implies. kin: the finding that it counts as when reports are compared, for on a film they look
    alike. sided, zoned: whether side and zone tell two of it apart. zone: where it always is. relevant: False for what comes with age,
    which makes no report abnormal. observation: the CheXpert observation that it speaks of, affirmed or denied; its own name if that is
    one. device: foreign to the body; it leaves "no finding" as it is.
    """

    name: str
    mentions: tuple[str, ...]
    absences: tuple[str, ...] = ()
    parent: str | None = None
    kin: str | None = None
    sided: bool = True
    zoned: bool = True
    zone: str = ""
    relevant: bool = True
    observation: str = ""
    device: bool = False

    def spots(self, places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """The (side, zone) pairs that matter for this finding; ("", zone) when nothing is said."""
        return {(side if self.sided else "", zone if self.zoned else self.zone) for side, zone in places} or {
            ("", "" if self.zoned else self.zone)
        }

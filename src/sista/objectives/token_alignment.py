"""STA: words with the patches that they speak of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sista.errors import SistaError, nearest
from sista.objectives.chunked import sum_over_reports
from sista.objectives.cross_film import (
    COMBINE,
    POOLINGS,
    allowed_films,
    contrast_drawn_films,
    contrast_films,
    lacking,
    report_score_contrast,
    sample_films,
    sample_words,
    seen_films,
)
from sista.objectives.diagnostics import attention_statistics, wrong_film_gap
from sista.objectives.precision import full_precision
from sista.objectives.targets import Targets, identity_targets
from sista.objectives.token_attention import TokenAligner
from sista.objectives.token_contrast import patch_to_word, pool_sentences, within_report_contrast

FORMS = ("within", "cross_film", "report_score")
UNITS = ("word", "sentence")
CHUNK = 128  # 0.2 GB of activations at 196 patches of 128 numbers


class TokenAlignment(nn.Module):
    """Sparse token alignment (SISTA, arXiv 2601.08165), in three forms.

    form            within: words against the words of their report (the paper's, after SPARC);
                    cross_film: a word on its film against other films that lack it;
                    report_score: mean word score of a report contrasted over the films of the batch (GLoRIA-like)
    aligner         how a word looks at patches
    temperature     of the word logits
    words           words drawn per report, in proportion to their weight; None: all
    weighted        words count by their weight: in the draw, or in the mean where all words are taken
    mask_repeats    within: equal words of a report are not each other's negatives
    films           cross_film: other films drawn per report; None or 0: all of the batch
    theta_n, combine  cross_film: a film is a negative of a word where its report lacks the word "and" ("or") has S < theta_n
    pooling         cross_film, report_score: "aligner" or "max"
    unit            word, or sentence (the words of a sentence pooled first; not for cross_film)
    mirror          weight of the patch-to-word term
    skip_single     within: reports without a contrast are left out of the mean
    chunk           reports that meet their films at a time: memory for so many at most, the same gradients; 0: all at once. Not for
                    report_score, cross_film with all films, and skip_single
    """

    def __init__(
        self,
        form: str = "cross_film",
        aligner: TokenAligner | None = None,
        temperature: float = 0.1,
        words: int | None = 16,
        weighted: bool = True,
        mask_repeats: bool = True,
        films: int | None = 3,
        theta_n: float = 1.0,
        combine: str = "and",
        pooling: str = "aligner",
        unit: str = "word",
        mirror: float = 0.0,
        skip_single: bool = False,
        chunk: int = CHUNK,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("form", form, FORMS),
            ("unit", unit, UNITS),
            ("combine", combine, COMBINE),
            ("pooling", pooling, POOLINGS),
        ):
            if value not in known:
                raise SistaError(f"token alignment: unknown {name} {value!r}: {nearest(value, known)}")
        if temperature <= 0:
            raise SistaError(f"token alignment: temperature is {temperature:g}; it must be above 0")
        if form == "cross_film" and unit == "sentence":
            raise SistaError("token alignment: a sentence cannot be looked up in other reports; use unit 'word', or form 'report_score'")
        self.form, self.temperature, self.words, self.weighted, self.mask_repeats = form, temperature, words, weighted, mask_repeats
        self.aligner = TokenAligner() if aligner is None else aligner
        self.films, self.theta_n, self.combine, self.pooling = films, theta_n, combine, pooling
        self.unit, self.mirror, self.skip_single, self.chunk = unit, mirror, skip_single, chunk

    @full_precision
    def forward(
        self,
        words: Float[Tensor, "b l d"],
        patches: Float[Tensor, "b p d"],
        word_mask: Bool[Tensor, "b l"],
        word_type: Int[Tensor, "b l"] | None = None,
        word_weight: Float[Tensor, "b l"] | None = None,
        word_sentence: Int[Tensor, "b l"] | None = None,
        similarity: Float[Tensor, "b b"] | None = None,
        targets: Targets | None = None,
        generator: torch.Generator | None = None,
        diagnose: bool = True,
        report_type: Int[Tensor, "b w"] | None = None,
        report_key: Int[Tensor, " b"] | None = None,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Loss, and if `diagnose`: patches_per_word, attention_entropy, wrong_film_gap and, for cross_film, contrasted_words.

        Words and patches are L2-normalised. `word_type` is needed for cross_film, `word_sentence` for unit "sentence"; `similarity`
        [b,b] of the reports (of a gathered [b,m], the columns `own`) makes cross_film heed theta_n; `targets` [b,b] serve
        report_score (default: own pairs only). `report_type` are the types of all words of the reports, 0 on padding, where `words` are
        only some of them: cross_film looks words up there (default: among `word_type`). `report_key`, equal for pairs of one study or text,
        keeps the gap from taking another film of the same study for a wrong one.
        The gap costs one more forward pass of the term, without gradient.
        """
        self._check(word_type, word_sentence)
        weight = word_weight if self.weighted else None
        types = word_type
        units, mask = words, word_mask
        if self.unit == "sentence" and word_sentence is not None:
            units, mask = pool_sentences(words, word_mask, word_sentence)
            types, weight = None, None
        if self.words is not None:
            index, mask = sample_words(mask, weight, self.words, generator)
            units = units.take_along_dim(index[:, :, None], dim=1)
            types = None if types is None else types.gather(1, index)
            weight = None  # the draw has weighed them

        log: dict[str, Tensor] = {}
        allowed, others = None, None
        if self.form == "cross_film" and types is not None and word_type is not None:
            of_reports = (word_type, word_mask) if report_type is None else (report_type, report_type != 0)
            allowed = allowed_films(lacking(types, *of_reports), similarity, self.theta_n, self.combine)
            if self.films:
                others = sample_films(allowed, mask, self.films, generator)
                allowed = seen_films(allowed, others)  # of all films the largest mask of a big batch
            log["contrasted_words"] = (allowed.any(dim=2) & mask).sum() / mask.sum().clamp(min=1)

        def term(units: Tensor, patches: Tensor) -> Tensor:
            if allowed is not None and others is not None:
                settings = (self.aligner, self.temperature, self.pooling, self.chunk)
                return contrast_drawn_films(units, mask, patches, allowed, others, *settings, weight)
            if allowed is not None:
                return contrast_films(units, mask, patches, allowed, None, self.aligner, self.temperature, self.pooling, weight)
            if self.form == "report_score":
                wanted = identity_targets(len(units), device=units.device) if targets is None else targets
                return report_score_contrast(units, patches, mask, wanted, self.aligner, self.temperature, weight, self.pooling)
            return self._mean(within, units, patches, whole=self.skip_single)

        def within(units: Tensor, patches: Tensor, rows: slice) -> Tensor:
            repeats = types[rows] if self.mask_repeats and types is not None else None
            of_words = None if weight is None else weight[rows]
            grounded, _ = self.aligner(units, patches)
            return within_report_contrast(grounded, units, mask[rows], repeats, self.temperature, of_words, skip_single=self.skip_single)

        def mirrored(units: Tensor, patches: Tensor, rows: slice) -> Tensor:
            return patch_to_word(units, patches, mask[rows], self.aligner, self.temperature)

        loss = term(units, patches)
        if self.mirror:
            loss = loss + self.mirror * self._mean(mirrored, units, patches)
        if not diagnose:
            return loss, {}
        with torch.no_grad():
            if self.pooling == "aligner" or self.form == "within":  # of "max" a word has no weights
                log |= attention_statistics(self.aligner(units, patches)[1], mask)
            log["wrong_film_gap"] = wrong_film_gap(term, units, patches, report_key)
        return loss, log

    def _mean(self, term: Callable[[Tensor, Tensor, slice], Tensor], units: Tensor, patches: Tensor, whole: bool = False) -> Tensor:
        """A term that is a mean over reports, each with its own film, of all reports; in chunks unless `whole`."""
        if whole or not self.chunk or len(units) <= self.chunk:
            return term(units, patches, slice(None))
        own = torch.arange(len(units), device=units.device)[:, None]
        total = sum_over_reports(lambda u, films, rows: term(u, films[:, 0], rows) * len(u), units, patches, own, self.chunk)
        return total / len(units)

    def _check(self, word_type: Tensor | None, word_sentence: Tensor | None) -> None:
        if self.form == "cross_film" and word_type is None:
            raise SistaError("token alignment: form 'cross_film' needs word_type, the type of each word of the batch")
        if self.unit == "sentence" and word_sentence is None:
            raise SistaError("token alignment: unit 'sentence' needs word_sentence, the sentence of each word of the batch")

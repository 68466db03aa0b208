"""SISTA: semantic-aware instance alignment and sparse token alignment (arXiv 2601.08165)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sista.corpus.batch import Batch
from sista.errors import SistaError
from sista.methods.method import Cutoff, Method, StepResult, pair_statistics, shown_patches
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.projection import Projection
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.token_alignment import TokenAlignment
from sista.objectives.token_attention import TokenAligner


@dataclass(frozen=True)
class SistaSettings:
    """SISTA's two terms.

    Args:
        mode: what happens to pairs with alike reports: identity, eliminate, triage, soft or sigmoid. The paper eliminates, which costs
            retrieval (docs/experiments.md).
        positive_share: share of random corpus pairs that count as positives (triage, sigmoid).
        negative_share: share of random corpus pairs that are no negatives (eliminate, triage), nor negative films of a word (cross_film).
        theta_p: the positives' cut-off as a similarity; 0: from positive_share.
        theta_n: the negatives' cut-off as a similarity; 0: from negative_share.
        beta: soft mode, share of the softened targets.
        tau_s: soft mode, temperature of the report similarities.
        adaptive_offset: take the running mean similarity out first (FaNe); then give theta_p and theta_n.
        temperature: of the instance logits, at the start.
        learn_temperature: train it, clamped to 0.01 to 1.
        instance_weight: lambda 1.
        token_weight: lambda 2; 0 leaves the token term out. The paper's is 1, which costs retrieval (docs/experiments.md).
        token_form: cross_film, within or report_score.
        weighting: how a word looks at patches: minmax, topk, sparsemax, entmax, or softmax (dense, the control).
        sigma: minmax, share of the range below which a patch does not count; 0: 1/P.
        k: topk, patches kept.
        attention_temperature: of topk, sparsemax, entmax and softmax.
        token_temperature: of the word logits.
        words: informative words drawn per report; 0: all words.
        weighted: draw words by how much they tell (finding, place, severity, affirmed), or all alike.
        films: cross_film, other films drawn per report; 0: all of the batch.
        pooling: cross_film and report_score, a word's score on a film: aligner (its own view) or max (its best patch).
        mask_repeats: within, equal words of a report are not each other's negatives.
        mirror: weight of the patch-to-word term.
        within_weight: of a second token term, MGCA's (arXiv 2210.06044): the words of a report against each other by their softmax views of
            the patches, and patches likewise, half and half; 0 leaves it out. It does not look at the film; beside it the term across
            films is learnt later, from the same patches most of all (docs/experiments.md).
        within_projections: of that term, a linear projection of its own for words and one for patches, from the identity, so that what it
            makes of them need not be what the other token term, grounding and `sista ground` read.
        within_detached: of that term, no gradient goes to the patches: it tells the words of a report apart and trains the text alone.
            Neither of the two hastens the term across films much (docs/experiments.md).
        within_deepest: of that term, the patches are the deepest of the image encoder (its last stage or block; of `sista_compact` the map
            that the pooled vector is read from), by a linear projection of their own; those of the term across films stay those of
            `model.patch_stride` or `model.patch_block`, which grounding reads. What each term is worth with it: docs/experiments.md.
        wrong_films: a control: the token terms see the patches of the pair before in the batch, by chance of another study.
    """

    mode: str = "soft"
    positive_share: float = 0.01
    negative_share: float = 0.01
    theta_p: float = 0.0
    theta_n: float = 0.0
    beta: float = 0.5
    tau_s: float = 0.1
    adaptive_offset: bool = False
    temperature: float = 0.07
    learn_temperature: bool = True
    instance_weight: float = 1.0
    token_weight: float = 0.1
    token_form: str = "cross_film"
    weighting: str = "minmax"
    sigma: float = 0.6
    k: int = 16
    attention_temperature: float = 0.1
    token_temperature: float = 0.1
    words: int = 8
    weighted: bool = True
    films: int = 2
    pooling: str = "aligner"
    mask_repeats: bool = True
    mirror: float = 0.0
    within_weight: float = 0.0
    within_projections: bool = False
    within_detached: bool = False
    within_deepest: bool = False
    wrong_films: bool = False


class Sista(Method):
    """L = lambda_1 L_SIA + lambda_2 L_STA (+ within_weight L_CTA) over the pairs of a batch.

    SIA: the similarity of reports decides which pairs are positives, negatives or neither. STA: by default words are contrasted across
    films whose reports lack them, since the contrast within a report can be solved without the film.
    """

    Settings: ClassVar[type] = SistaSettings
    settings: SistaSettings
    above_zero: ClassVar[tuple[str, ...]] = ("tau_s", "temperature", "attention_temperature", "token_temperature", "k")
    not_below_zero: ClassVar[tuple[str, ...]] = ("instance_weight", "token_weight", "within_weight", "mirror", "sigma", "words", "films")

    def __init__(self, encoder: DualEncoder, settings: SistaSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        if settings.adaptive_offset:
            _check_offset(settings)
        theta_p = settings.theta_p or cutoff(settings.positive_share)
        theta_n = settings.theta_n or cutoff(settings.negative_share)
        if settings.mode == "triage" and not settings.theta_n:
            theta_n = min(theta_n, theta_p)  # of shares; a theta_n that is given must lie below by itself
        self.instance = InstanceAlignment(
            settings.mode,
            theta_p,
            theta_n,
            settings.beta,
            settings.tau_s,
            settings.temperature,
            settings.learn_temperature,
            settings.adaptive_offset,
        )
        self.token = TokenAlignment(
            settings.token_form,
            TokenAligner(settings.weighting, settings.sigma or None, settings.k, settings.attention_temperature),
            settings.token_temperature,
            settings.words or None,
            settings.weighted,
            settings.mask_repeats,
            settings.films or None,
            self.instance.theta_n,
            pooling=settings.pooling,
            mirror=settings.mirror,
        )
        self.within = TokenAlignment(
            "within",
            TokenAligner("softmax", temperature=settings.attention_temperature),
            settings.token_temperature,
            words=None,
            weighted=False,
            mask_repeats=False,
            mirror=1.0,
        )
        if settings.within_deepest:
            _check_deepest(encoder.image, settings)
            self.deepest_head = Projection(encoder.image.deepest_width, encoder.dim)
        self.within_heads = nn.ModuleList(_identity(encoder.dim) if settings.within_projections else nn.Identity() for _ in range(2))

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch; with `statistics` also what became of the pairs and where words look."""
        e = self.encoder(images, batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask, self.deepest_head)
        instance, targets, similarity = self.instance(e.image, e.text, batch.teacher, batch.report_key)
        s, terms = self.settings, {"instance": instance}
        loss = s.instance_weight * instance
        log = pair_statistics(targets, batch, self.instance.temperature) if statistics else {}
        patches = shown_patches(e.patches, s.wrong_films)
        words = (e.words, patches, batch.word_mask, batch.word_type, batch.word_weight, batch.word_sentence)
        if s.token_weight:
            terms["token"], looks = self.token(*words, similarity, targets, generator, statistics, batch.report_type, batch.report_key)
            loss, log = loss + s.token_weight * terms["token"], {**log, **looks}
        if s.within_weight:
            if e.deepest is not None:
                patches = shown_patches(e.deepest, s.wrong_films)
            looked_at = (e.words, patches.detach() if s.within_detached else patches)
            of_words, of_patches = (F.normalize(head(v).float(), dim=-1) for head, v in zip(self.within_heads, looked_at, strict=True))
            terms["within"] = self.within(of_words, of_patches, batch.word_mask, diagnose=False)[0] / 2
            loss = loss + s.within_weight * terms["within"]
        return StepResult(loss, terms, log)


def _check_offset(settings: SistaSettings) -> None:
    """SistaError where a cut-off that is used would come from a share: shares are of similarities whose offset is still in them."""
    positive = settings.mode in ("triage", "sigmoid")
    negative = settings.mode in ("eliminate", "triage") or (settings.token_weight > 0 and settings.token_form == "cross_film")
    lacking = [name for name, used in (("theta_p", positive), ("theta_n", negative)) if used and not getattr(settings, name)]
    if lacking:
        raise SistaError(f"adaptive_offset: give {' and '.join(lacking)}; shares are of similarities with the offset still in them")


def _check_deepest(image: ImageEncoder, settings: SistaSettings) -> None:
    """SistaError where the term within the report has no other patches to look at, or nothing would come of it."""
    if not settings.within_weight or settings.within_detached:
        raise SistaError("within_deepest is of the term within the report: give a within_weight, and leave within_detached out")
    if image.patches_are_deepest:
        raise SistaError(
            f"within_deepest: the patches of {image.name} are those of its deepest stage already; give model.patch_block (a plain vision "
            "transformer) or a smaller model.patch_stride"
        )


def _identity(dim: int) -> nn.Linear:
    """A linear map without bias that begins as the identity (and draws no random number)."""
    head = nn.utils.skip_init(nn.Linear, dim, dim, bias=False)
    nn.init.eye_(head.weight)
    return head


@dataclass(frozen=True)
class SistaPaperSettings(SistaSettings):
    """The settings of `SistaSettings` with the paper's plain form as defaults."""

    mode: str = "triage"
    negative_share: float = 0.03
    token_weight: float = 1.0
    token_form: str = "within"
    sigma: float = 0.0
    words: int = 0
    weighted: bool = False


class SistaPaper(Sista):
    """Our plain reading of the paper: triage at the top 1 % and 3 %, and SPARC's token term over all words with sigma = 1/P."""

    Settings: ClassVar[type] = SistaPaperSettings

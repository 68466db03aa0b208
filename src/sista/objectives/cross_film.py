"""A word on its own film against the same word on other films: a token term that cannot be solved without the film."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sista.errors import SistaError, nearest
from sista.objectives.chunked import films_of, sum_over_reports
from sista.objectives.contrastive import FLOOR, contrast_rows
from sista.objectives.precision import full_precision
from sista.objectives.targets import Targets
from sista.objectives.token_attention import EPS, TokenAligner, unit

POOLINGS = ("aligner", "max")
COMBINE = ("and", "or")


def sample_words(
    word_mask: Bool[Tensor, "b l"],
    word_weight: Float[Tensor, "b l"] | None,
    count: int,
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """Draw `count` different words of each report in proportion to their weight: positions [b,k], and which of them are real [b,k].

    Gumbel top-k: the k largest log weight + Gumbel noise are a weighted sample without replacement. Words of weight 0 and padding are
    never real; k = min(count, L).
    """
    weight = word_mask.float() if word_weight is None else word_weight.float() * word_mask
    key = weight.clamp(min=1e-30).log() + _gumbel(weight, generator)
    index = key.masked_fill(weight <= 0, FLOOR).topk(min(count, weight.shape[1]), dim=1).indices
    return index, (weight > 0).gather(1, index)


def lacking(word_type: Int[Tensor, "b k"], report_types: Int[Tensor, "m l"], report_mask: Bool[Tensor, "m l"]) -> Bool[Tensor, "b k m"]:
    """True where report m does not contain the type of word (b, k).

    Each report's words are looked up among the sorted words that are asked for, B L log(B K) steps and B K M answers: comparing all with
    all would be B K M L.
    """
    asked = word_type.flatten().sort().values
    place = torch.searchsorted(asked, report_types).clamp(max=len(asked) - 1)
    place = place.masked_fill((asked[place] != report_types) | ~report_mask, len(asked))  # the row behind the last: asked for by nobody
    lack = torch.ones(len(asked) + 1, len(report_types), dtype=torch.bool, device=asked.device)
    column = torch.arange(len(report_types), device=asked.device)[:, None]
    lack.view(-1).scatter_(0, (place * len(report_types) + column).flatten(), False)
    return lack[torch.searchsorted(asked, word_type)]


def allowed_films(
    lack: Bool[Tensor, "b k b"], similarity: Float[Tensor, "b b"] | None = None, theta_n: float = 1.0, combine: str = "and"
) -> Bool[Tensor, "b k b"]:
    """The films that are negatives of a word: not its own, the report lacks the word AND is unlike its report, S < theta_n.

    `combine` "or" asks for one of the two. Without `similarity` the word alone decides.
    """
    if combine not in COMBINE:
        raise SistaError(f"unknown combine {combine!r}: {nearest(combine, COMBINE)}")
    other = ~torch.eye(lack.shape[0], dtype=torch.bool, device=lack.device)
    if similarity is None:
        return lack & other[:, None, :]
    unlike = similarity < theta_n
    if combine == "and":
        return lack & (unlike & other)[:, None, :]
    return (lack | unlike[:, None, :]) & other[:, None, :]


def sample_films(
    allowed: Bool[Tensor, "b k b"], mask: Bool[Tensor, "b k"], count: int, generator: torch.Generator | None = None
) -> Int[Tensor, "b f"]:
    """Draw `count` other films for each report, those that are negatives of more of its words more often (Gumbel top-k).

    Never the own film; f = min(count, b - 1). One draw serves all words of a report, so that its films are gathered once.
    """
    count_in = torch.uint8 if allowed.shape[1] < 256 else torch.int32  # torch widens a whole mask to the type that it sums in
    useful = (allowed & mask[:, :, None]).view(torch.uint8).sum(dim=1, dtype=count_in).float()
    key = (useful.clamp(min=1e-30).log() + _gumbel(useful, generator)).clamp(min=FLOOR)
    own = torch.eye(len(key), dtype=torch.bool, device=key.device)
    return key.masked_fill(own, 2 * FLOOR).topk(min(count, len(key) - 1), dim=1).indices


@full_precision
def film_scores(
    words: Float[Tensor, "b k d"], films: Float[Tensor, "b f p d"], aligner: TokenAligner, pooling: str = "aligner"
) -> Float[Tensor, "b k f"]:
    """How well word (b, k) fits film (b, f): c_{k,f} . w_k with the word's own view c of that film, or ("max") max_p w_k . p_p."""
    if pooling not in POOLINGS:
        raise SistaError(f"unknown pooling {pooling!r}: {nearest(pooling, POOLINGS)}")
    scores = torch.einsum("bkd,bfpd->bkfp", words, films)
    if pooling == "max":
        return scores.amax(dim=-1)
    grounded = unit(torch.einsum("bkfp,bfpd->bkfd", aligner.weigh(scores), films))
    return torch.einsum("bkfd,bkd->bkf", grounded, words)


def all_film_scores(
    words: Float[Tensor, "b k d"], patches: Float[Tensor, "m p d"], aligner: TokenAligner, pooling: str = "aligner"
) -> Float[Tensor, "b k m"]:
    """`film_scores` of every word on every film of the batch: B x K x M x P numbers."""
    flat = film_scores(words.flatten(0, 1)[None], patches[None], aligner, pooling)
    return flat.view(*words.shape[:2], len(patches))


@full_precision
def cross_film_contrast(
    words: Float[Tensor, "b k d"],
    word_type: Int[Tensor, "b k"],
    mask: Bool[Tensor, "b k"],
    patches: Float[Tensor, "b p d"],
    report_types: Int[Tensor, "b l"],
    report_mask: Bool[Tensor, "b l"],
    similarity: Float[Tensor, "b b"] | None = None,
    theta_n: float = 1.0,
    films: int | None = 3,
    aligner: TokenAligner | None = None,
    temperature: float = 0.1,
    generator: torch.Generator | None = None,
    combine: str = "and",
    pooling: str = "aligner",
) -> Float[Tensor, ""]:
    """-log softmax at the own film of c_{l,f} . w_l / T over the own film and the allowed ones; mean over words that have a contrast.

    The k sampled words of each report (`sample_words`) look at their own film and at `films` others (None or 0: all of the batch);
    `allowed_films` says which of these are negatives of which word, the triage of reports carried down to words.
    No word with an allowed film: 0. The loss is log(1 + number of allowed films) where all films are alike, so no arrangement of
    words over the grid can lower it without the film.
    """
    allowed = allowed_films(lacking(word_type, report_types, report_mask), similarity, theta_n, combine)
    others = sample_films(allowed, mask, films, generator) if films else None
    return contrast_films(words, mask, patches, allowed, others, aligner, temperature, pooling)


@full_precision
def contrast_films(
    words: Float[Tensor, "b k d"],
    mask: Bool[Tensor, "b k"],
    patches: Float[Tensor, "b p d"],
    allowed: Bool[Tensor, "b k b"],
    others: Int[Tensor, "b f"] | None = None,
    aligner: TokenAligner | None = None,
    temperature: float = 0.1,
    pooling: str = "aligner",
    weight: Float[Tensor, "b k"] | None = None,
) -> Float[Tensor, ""]:
    """`cross_film_contrast` with the negatives settled: `allowed` films of each word, among the drawn `others` (None: all).

    weight: of each word in the mean; by default all words that have a negative count alike.
    """
    aligner = TokenAligner() if aligner is None else aligner
    if others is not None:
        seen = seen_films(allowed, others)
        return contrast_drawn_films(words, mask, patches, seen, others, aligner, temperature, pooling, weight=weight)
    own = torch.eye(len(words), dtype=torch.bool, device=words.device)[:, None, :].expand_as(allowed)
    counted, total = _counted(mask & allowed.any(dim=2), weight)
    return _summed(all_film_scores(words, patches, aligner, pooling), own, allowed, counted, temperature) / total


@full_precision
def contrast_drawn_films(
    words: Float[Tensor, "b k d"],
    mask: Bool[Tensor, "b k"],
    patches: Float[Tensor, "b p d"],
    allowed: Bool[Tensor, "b k f"],
    others: Int[Tensor, "b f"],
    aligner: TokenAligner,
    temperature: float = 0.1,
    pooling: str = "aligner",
    chunk: int = 0,
    weight: Float[Tensor, "b k"] | None = None,
) -> Float[Tensor, ""]:
    """`contrast_films` with `allowed` at the drawn films alone. More than `chunk` reports go `chunk` at a time; 0: all at once."""
    mine = torch.arange(len(words), device=words.device)[:, None]
    chosen = torch.cat([mine, others], dim=1)
    own = (chosen == mine)[:, None, :].expand(-1, words.shape[1], -1)
    allowed = torch.cat([torch.zeros_like(mask)[:, :, None], allowed], dim=2)
    counted, whole = _counted(mask & allowed.any(dim=2), weight)

    def term(words: Tensor, films: Tensor, rows: slice) -> Tensor:
        return _summed(film_scores(words, films, aligner, pooling), own[rows], allowed[rows], counted[rows], temperature)

    if chunk and len(words) > chunk:
        total = sum_over_reports(term, words, patches, chosen, chunk)
    else:
        total = term(words, films_of(patches, chosen), slice(None))
    return total / whole


def _counted(contrasted: Bool[Tensor, "b k"], weight: Float[Tensor, "b k"] | None) -> tuple[Tensor, Tensor]:
    """How much each word counts [b,k], 0 without a negative, and by what their sum is divided."""
    if weight is None:
        return contrasted, contrasted.sum().clamp(min=1)
    counted = torch.where(contrasted, weight, torch.zeros_like(weight))
    return counted, counted.sum().clamp(min=EPS)


def _summed(scores: Tensor, own: Tensor, allowed: Tensor, counted: Tensor, temperature: float) -> Tensor:
    targets = Targets(own.flatten(0, 1).to(scores.dtype), (own | allowed).flatten(0, 1).to(scores.dtype))
    losses = contrast_rows(scores.flatten(0, 1) / temperature, targets)
    share = counted.flatten()
    if share.dtype == torch.bool:
        return torch.where(share, losses, torch.zeros_like(losses)).sum()
    return torch.where(share > 0, losses * share, torch.zeros_like(losses)).sum()


def seen_films(allowed: Bool[Tensor, "b k b"], chosen: Int[Tensor, "b f"]) -> Bool[Tensor, "b k f"]:
    """`allowed` at the chosen films of each report."""
    return allowed.gather(2, chosen[:, None, :].expand(-1, allowed.shape[1], -1))


@full_precision
def report_score_contrast(
    words: Float[Tensor, "b k d"],
    patches: Float[Tensor, "b p d"],
    mask: Bool[Tensor, "b k"],
    targets: Targets,
    aligner: TokenAligner | None = None,
    temperature: float = 0.1,
    word_weight: Float[Tensor, "b k"] | None = None,
    pooling: str = "aligner",
) -> Float[Tensor, ""]:
    """The score of report i on film f, mean over its words of c_{l,f} . w_l, contrasted over the batch in both directions.

    In the manner of GLoRIA (ICCV 2021); `targets` [b,b] say which reports and films belong together. Reports without words take no
    part, neither as rows nor as columns.
    """
    aligner = TokenAligner() if aligner is None else aligner
    share = mask.to(patches.dtype) if word_weight is None else word_weight.to(patches.dtype) * mask
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1e-6)
    scores = torch.einsum("bkf,bk->bf", all_film_scores(words, patches, aligner, pooling), share) / temperature
    told = share.sum(dim=1) > 0
    present = told.to(scores.dtype)
    weights = targets.weights * present
    left = weights.sum(dim=1, keepdim=True)  # a film counts in full, for the reports with words among its own
    weights = torch.where(left > 0, weights * (targets.weights.sum(dim=1, keepdim=True) / left), weights)
    among = Targets(weights, targets.allowed * present)
    losses = (contrast_rows(scores, targets) + contrast_rows(scores.T, among)) / 2
    return torch.where(told, losses, torch.zeros_like(losses)).sum() / present.sum().clamp(min=1)


def _gumbel(like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = like.device if generator is None else generator.device
    uniform = torch.rand(like.shape, generator=generator, device=device).to(like.device)
    return -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))

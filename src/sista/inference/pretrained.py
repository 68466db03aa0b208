"""A pre-trained model that answers: classify a film by prompts, show where a phrase is, embed films and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sista.corpus.films.augmentation import eval_view
from sista.corpus.films.pixels import crop_borders
from sista.corpus.films.radiograph import Display, read_radiograph, resize_film
from sista.corpus.reports.tokenizer import ReportTokenizer
from sista.corpus.reports.tokens import TokenStore
from sista.corpus.reports.words import word_spans, words_of_pieces
from sista.corpus.study import StudyRefused
from sista.errors import SistaError
from sista.inference.enlarge import enlarge, enlarge_at
from sista.inference.prompts import PromptPair, default_prompts
from sista.metrics.result import encoder_hash
from sista.models.checkpoint import load_pretrained
from sista.models.dual_encoder import DualEncoder
from sista.models.encode import FilmVectors, encode_films, encode_texts
from sista.models.precision import Precision, autocast, choose_device, choose_precision

FilmSource = str | Path | np.ndarray


class PretrainedModel:
    """A dual encoder in evaluation mode with its tokenizer.

    Films are files (JPEG, PNG, DICOM) or 2-D uint8 or uint16 arrays with bright = dense; texts are plain strings. Results are NumPy,
    float32 where nothing else is said. Films are read as those of the pre-training corpus were: its window and frame (`display`), its
    borders cut off or not (`crop_borders`). Both may be changed.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        tokenizer: ReportTokenizer,
        card: dict[str, Any],
        device: torch.device,
        precision: str,
        folder: Path | None = None,
    ) -> None:
        self.encoder = encoder.to(device).eval()
        self.encoder.image.to(memory_format=torch.channels_last)
        self.tokenizer, self.card, self.device, self.precision, self.folder = tokenizer, card, device, precision, folder
        self.image_size: int = encoder.image.image_size
        films = card.get("films", {})
        self.display, self.crop_borders = Display(**films.get("display", {})), bool(films.get("crop_borders", False))

    @property
    def shown(self) -> dict[str, Any]:
        """How films are read, as cards have it."""
        return {"display": asdict(self.display), "crop_borders": self.crop_borders}

    @property
    def weights(self) -> str | None:
        """SHA-256 of the weights' file, for a Hub name too; None for a model that is of no checkpoint."""
        return None if self.folder is None else encoder_hash(self.folder)

    def classify(self, film: FilmSource, findings: Sequence[str] | Mapping[str, PromptPair]) -> dict[str, float]:
        """The probability of each finding by zero-shot prompts, independent of each other.

        `findings` are names, for which prompts are made, or name -> `PromptPair`. The probability is that of the affirming side in a
        softmax over the two sides' mean embeddings at the model's temperature; it is not calibrated.
        """
        from scipy.special import expit

        image = self.encode_films([self.prepare(film)]).image
        pairs = dict(findings) if isinstance(findings, Mapping) else self.prompts_for(findings)
        return dict(zip(pairs, map(float, expit(self.zero_shot(image, pairs)[0])), strict=True))

    def zero_shot(self, image: np.ndarray, prompts: Mapping[str, PromptPair]) -> np.ndarray:
        """Logits [N,K] of K findings for the unit vectors [N,D] of N films: (cosine with what affirms - cosine with what denies) /
        temperature, whose sigmoid is the probability. They differ where probabilities are all 1.
        """
        if not prompts:
            raise SistaError("no finding to ask for")
        if empty := [name for name, pair in prompts.items() if not (pair.positive and pair.negative)]:
            raise SistaError(f"{empty[0]!r} has no prompt that affirms it, or none that denies it; a finding needs both")
        for name, pair in prompts.items():
            for side, texts in (("affirm", pair.positive), ("deny", pair.negative)):
                self.require_words(f"the prompts that {side} {name!r}:", texts)
        positive = np.stack([self._ensemble(pair.positive) for pair in prompts.values()])
        negative = np.stack([self._ensemble(pair.negative) for pair in prompts.values()])
        return (image @ positive.T - image @ negative.T).astype(np.float64) / float(self.card.get("temperature", 0.07))

    def heatmap(self, film: FilmSource, phrase: str) -> np.ndarray:
        """How well each place of the film fits a phrase, [H,W] of the film's own size: cosines less those with the mean film, bilinear
        between patches, each of which is drawn where it looks (`sista.models.receptive_field`).

        The numbers compare places within one film, not films with each other. Borders that are cut off have the least of them.
        """
        self.require_words("phrase", [phrase])
        whole = self.read(film)
        pixels, (x, y) = self._cropped(whole)
        height, width = pixels.shape
        grid = self.patch_map(self._prepared(pixels)[None], [phrase])[0]
        small = resize_film(pixels, self.image_size)[0].shape
        rows, columns = (
            (np.arange(long) + 0.5) * short / long + (self.image_size - short) // 2  # where a pixel of the film came to lie
            for long, short in zip(pixels.shape, small, strict=True)
        )
        heat = np.full(whole.shape, grid.min(), dtype=np.float32)
        heat[y : y + height, x : x + width] = enlarge_at(grid[None], self.encoder.image.centres, rows, columns)[0]
        return heat

    @torch.inference_mode()
    def patch_map(self, images: Tensor, phrases: Sequence[str]) -> np.ndarray:
        """One map [N,h,w] for each pair of a prepared film [N,1,s,s] and a phrase, on the encoder's grid.

        A patch's score is the weighted mean over the phrase's words of the word's cosine with it, less the mean map where the checkpoint
        holds one. Words that tell something (finding, place, severity) count; if none does, all content words.
        """
        tokens = self._tokens(phrases)
        weight = tokens["word_weight"] * tokens["word_mask"]
        weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, tokens["word_mask"].float())
        weight = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6)).to(self.device)
        with autocast(self.precision, self.device):
            _, patches, grid = self.encoder.encode_images(images.to(self.device).contiguous(memory_format=torch.channels_last))
            _, words = self.encoder.encode_texts(
                tokens["pieces"].to(self.device),
                tokens["piece_mask"].to(self.device),
                tokens["piece_word"].to(self.device),
                weight.shape[1],
            )
        patches = patches.float() - self.encoder.patch_mean(grid)
        scores = torch.einsum("nl,nld,npd->np", weight, words.float(), patches)
        maps = scores.view(len(images), *grid).cpu().numpy()
        _require_finite("patches", maps)
        return maps

    def enlarged(self, maps: np.ndarray, side: int) -> np.ndarray:
        """Maps [N,h,w] of `patch_map` over the films' square, [N,side,side]."""
        return enlarge(maps, self.encoder.image.centres, self.image_size, side)

    def prepare(self, film: FilmSource) -> Tensor:
        """A film as the encoder wants it, [1,s,s]: long side resized, padded to a square, normalised."""
        return self._prepared(self._cropped(self.read(film))[0])

    def read(self, film: FilmSource) -> np.ndarray:
        """The whole film [H,W], uint8 or uint16, as it is shown; raises SistaError with the reason where it cannot be read."""
        try:
            return read_radiograph(Path(film) if isinstance(film, str) else film, self.display)
        except StudyRefused as refused:
            raise SistaError(str(refused)) from None

    def _cropped(self, pixels: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        return crop_borders(pixels) if self.crop_borders else (pixels, (0, 0))

    def _prepared(self, pixels: np.ndarray) -> Tensor:
        pixels, _ = resize_film(pixels, self.image_size)
        height, width = pixels.shape
        square = np.zeros((self.image_size, self.image_size), dtype=np.uint8)
        top, left = (self.image_size - height) // 2, (self.image_size - width) // 2
        square[top : top + height, left : left + width] = pixels
        return eval_view(torch.from_numpy(square)[None, None], self.image_size)[0]

    def encode_films(self, films: Iterable[Tensor], batch: int = 128) -> FilmVectors:
        """Pooled features and unit vectors of prepared films [1,s,s]."""
        found = encode_films(self.encoder, map(torch.stack, _chunks(films, batch)), self.precision)
        _require_finite("films", found.pooled, found.image)
        return found

    def encode_texts(self, texts: Sequence[str], batch: int = 256) -> np.ndarray:
        """Unit vectors [N,D] of texts. Texts of like length are encoded together, so that padding is not computed."""
        texts = [texts] if isinstance(texts, str) else texts
        order = np.argsort([len(text) for text in texts], kind="stable")
        batches = (self._tokens([texts[i] for i in order[start : start + batch]]) for start in range(0, len(texts), batch))
        vectors = encode_texts(self.encoder, ((t["pieces"], t["piece_mask"]) for t in batches), self.precision)
        _require_finite("texts", vectors)
        result = np.empty_like(vectors)
        result[order] = vectors
        return result

    def prompts_for(self, findings: Sequence[str]) -> dict[str, PromptPair]:
        """`prompts_of` names; SistaError for one of which the vocabulary knows no word."""
        pairs = prompts_of(findings)
        for name in pairs:
            self.require_words("finding", [name])
        return pairs

    def require_words(self, what: str, texts: Sequence[str]) -> None:
        """SistaError where none of the texts holds a word, or none a word of which the vocabulary has any piece: all such are alike to
        the model, and an answer would mean nothing."""
        shown = ", ".join(map(repr, texts[:3]))
        if not any(word_spans(text) for text in texts):
            raise SistaError(f"{what} {shown} holds no word to look for")
        known = (
            piece != self.tokenizer.unk_id and word >= 0
            for text, (pieces, offsets) in zip(texts, self.tokenizer.encode(texts), strict=True)
            for piece, word in zip(pieces, words_of_pieces(offsets, word_spans(text)), strict=True)
        )
        if not any(known):
            raise SistaError(f"{what} {shown} holds no word that this model's vocabulary knows")

    def _tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        longest = int(self.card.get("max_pieces", 112))
        return TokenStore.from_texts(texts, self.tokenizer, longest).collate(range(len(texts)))

    def _ensemble(self, texts: Sequence[str]) -> np.ndarray:
        mean = self.encode_texts(texts).mean(axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-8)

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The findings that the pre-training corpus had labels for."""
        return tuple(self.card.get("label_names", ()))

    def __repr__(self) -> str:
        image, text = self.encoder.image.name, self.encoder.text.name
        return f"PretrainedModel({self.card.get('method')}, {image} + {text}, {self.image_size} px, {self.card.get('steps')} steps)"


def _require_finite(what: str, *vectors: np.ndarray) -> None:
    """SistaError for vectors of which some are no numbers: weights of a run that went astray, or a precision that overflows."""
    if not all(np.isfinite(held).all() for held in vectors):
        raise SistaError(f"the model's vectors of {what} are not finite; look at its weights, or give --precision fp32")


def load(path: str | Path, device: str = "auto", precision: Precision = "auto") -> PretrainedModel:
    """Load a pre-trained model from a run's folder, a checkpoint's folder, or the Hub by name.

    Args:
        path: what `sista pretrain --out` wrote, or a Hub name such as owner/model.
        device: auto, cpu, cuda or cuda:N.
        precision: auto (bf16 where the hardware gains from it), bf16 or fp32.
    """
    chosen = choose_device(device)
    pretrained = load_pretrained(path)
    tokenizer = ReportTokenizer.open(pretrained.folder)
    return PretrainedModel(pretrained.encoder, tokenizer, pretrained.card, chosen, choose_precision(precision, chosen), pretrained.folder)


def untrained(path: str | Path, seed: int = 0, device: str = "auto", precision: Precision = "auto") -> PretrainedModel:
    """The architecture and tokenizer of a checkpoint with fresh weights: the floor that every score is to be read against."""
    chosen = choose_device(device)
    torch.manual_seed(seed)
    pretrained = load_pretrained(path, weights=False)
    tokenizer = ReportTokenizer.open(pretrained.folder)
    return PretrainedModel(pretrained.encoder, tokenizer, pretrained.card, chosen, choose_precision(precision, chosen))


def prompts_of(findings: Sequence[str] | Mapping[str, PromptPair]) -> dict[str, PromptPair]:
    """Prompt pairs by name, made where only names are given; one name alone is one finding."""
    if isinstance(findings, str):
        findings = [findings]
    return dict(findings) if isinstance(findings, Mapping) else {name: default_prompts(name) for name in findings}


def _chunks(films: Iterable[Tensor], size: int) -> Iterable[list[Tensor]]:
    some: list[Tensor] = []
    for film in films:
        some.append(film)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some

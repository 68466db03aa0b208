"""Reports for the benchmarks: those of OpenI as released, or made up with the same lengths; and batches of them with random films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sista.corpus.batch import Batch
from sista.corpus.reports.tokens import ReportTokens, TokenStore, collate_tokens

# Pieces of OpenI's 3,927 reports with bert-base-uncased's vocabulary, special tokens included: mean 66; of their logarithm mean and spread
LOG_MEAN, LOG_SPREAD, LONGEST = 4.104, 0.457, 112
WORDS_A_PIECE, INFORMATIVE = 0.55, 0.4  # there, too: the rest of the pieces are punctuation and inner pieces
VOCABULARY, TYPES = 30522, 2400
PAD, CLS, SEP = 0, 101, 102


def report_tokens(
    reports: Path | None, vocabulary: Path | None = None, count: int = 4096, seed: int = 0
) -> tuple[list[ReportTokens], dict[str, Any]]:
    """Tokens of reports, and what to say of them. Without `reports`, NLMCXR_reports.tgz, lengths are drawn from the distribution above."""
    if reports is None:
        some = [_made(np.random.default_rng([seed, number])) for number in range(count)]
        source = f"synthetic: lognormal pieces, mean {LOG_MEAN} and spread {LOG_SPREAD} of the logarithm, cut at {LONGEST}"
    else:
        from sista.archives.openi import OpenI
        from sista.corpus.reports.sections import split_sections, training_text
        from sista.corpus.reports.tokenizer import load_tokenizer, train_tokenizer

        archive = OpenI(reports, text_only=True)
        texts = [text for n in range(len(archive)) if (text := training_text(split_sections(archive[n].report)))]
        tokenizer = load_tokenizer(str(vocabulary)) if vocabulary else train_tokenizer(texts, VOCABULARY)
        store = TokenStore.from_texts(texts, tokenizer, LONGEST)
        some = [store[n] for n in np.random.default_rng(seed).permutation(len(store))[:count]]
        source = f"{reports.name}, {len(some)} reports, {tokenizer!r}"
    pieces = np.array([len(report.pieces) + 2 for report in some])
    about = {
        "reports": source,
        "pieces": {"mean": round(float(pieces.mean()), 1), "percentiles_5_50_95": np.percentile(pieces, [5, 50, 95]).tolist()},
        "valid_of_112": round(float(pieces.mean() / LONGEST), 3),
    }
    return some, about


def batch_of(reports: list[ReportTokens], size: int, number: int, films: int, device: torch.device, seed: int = 0) -> Batch:
    """Batch `number` of `size` pairs: these reports in their order, films of noise, teacher vectors at random."""
    rows = np.arange(number * size, (number + 1) * size) % len(reports)
    random = torch.Generator().manual_seed(seed + number)
    batch = Batch(
        images=torch.randint(0, 256, (size, 1, films, films), dtype=torch.uint8, generator=random),
        **collate_tokens([reports[row] for row in rows], PAD, CLS, SEP),
        teacher=torch.nn.functional.normalize(torch.randn(size, 256, generator=random), dim=1),
        report_key=torch.arange(size),
        truth_key=torch.full((size,), -1),
        rows=torch.from_numpy(rows.copy()),
    )
    return batch.to(device)


def padded(batch: Batch, length: int = LONGEST) -> dict[str, torch.Tensor]:
    """pieces, piece_mask and piece_word of a batch, padded to `length`."""
    more = length - batch.pieces.shape[1]
    fill: dict[str, Any] = {"pieces": PAD, "piece_mask": False, "piece_word": -1}
    return {name: torch.nn.functional.pad(getattr(batch, name), (0, more), value=value) for name, value in fill.items()}


def _made(rng: np.random.Generator) -> ReportTokens:
    """Pieces of random ids, words of one piece each among them, types by Zipf's law, sentences of eight words."""
    length = int(np.clip(rng.lognormal(LOG_MEAN, LOG_SPREAD), 6, LONGEST)) - 2
    spoken = np.sort(rng.permutation(length)[: max(1, round(length * WORDS_A_PIECE))])
    words = len(spoken)
    piece_word = np.full(length, -1, dtype=np.int64)
    piece_word[spoken] = np.arange(words)
    sentence = np.arange(words) // 8
    return ReportTokens(
        pieces=rng.integers(1000, VOCABULARY, length),
        piece_word=piece_word,
        piece_sentence=np.maximum.accumulate(np.where(piece_word >= 0, piece_word // 8, 0)),
        word_type=np.minimum(rng.zipf(1.3, words), TYPES),
        word_weight=(rng.random(words) < INFORMATIVE).astype(np.float32),
        word_sentence=sentence,
    )

"""Tokens of all reports, cut once and cached: pieces, the words they make up, and what each word tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sista.corpus.disk import whole_file
from sista.corpus.equal import same_as
from sista.corpus.growing import GrowingArray
from sista.corpus.reports.labeller import mentions, place_spans, severity_spans
from sista.corpus.reports.lexicon import BY_NAME
from sista.corpus.reports.negation import polarity
from sista.corpus.reports.sentences import sentence_spans
from sista.corpus.reports.tokenizer import ReportTokenizer
from sista.corpus.reports.words import STOP_WORDS, word_spans, word_type, words_of_pieces

MAX_PIECES = 112  # MGCA's limit, special tokens included
_WEIGHT = {"affirmed": 1.0, "doubted": 0.5, "denied": 0.0}
_PLAIN_WEIGHT = 0.1  # of every content word, in a report without one affirmed finding
_AT_ONCE = 4096  # reports that are cut at a time
_COLUMNS = {"pieces": "<i4", "piece_word": "<i4", "piece_sentence": "<i4", "word_type": "<i4", "word_weight": "<f4", "word_sentence": "<i4"}


@dataclass(frozen=True)
class ReportTokens:
    """One report without special tokens. Pieces [T]: ids, word (-1 punctuation), sentence. Words [L]: type, weight, sentence."""

    pieces: np.ndarray
    piece_word: np.ndarray
    piece_sentence: np.ndarray
    word_type: np.ndarray
    word_weight: np.ndarray
    word_sentence: np.ndarray

    def shuffled(self, rng: np.random.Generator) -> ReportTokens:
        """The same sentences in another order; words and pieces within a sentence stay as they are."""
        count = int(max(self.piece_sentence.max(initial=-1), self.word_sentence.max(initial=-1))) + 1
        if count < 2:
            return self
        rank = np.argsort(rng.permutation(count))
        by_piece, by_word = (np.argsort(rank[sentence], kind="stable") for sentence in (self.piece_sentence, self.word_sentence))
        new_word = np.append(np.argsort(by_word), -1)
        return ReportTokens(
            self.pieces[by_piece],
            new_word[self.piece_word[by_piece]],
            rank[self.piece_sentence[by_piece]],
            self.word_type[by_word],
            self.word_weight[by_word],
            rank[self.word_sentence[by_word]],
        )

    def some_sentences(self, rng: np.random.Generator) -> ReportTokens:
        """A random number of the sentences, from one to all, in their order; a report of one sentence stays as it is."""
        count = int(max(self.piece_sentence.max(initial=-1), self.word_sentence.max(initial=-1))) + 1
        if count < 2:
            return self
        kept = np.sort(rng.permutation(count)[: rng.integers(1, count + 1)])
        by_piece, by_word = np.isin(self.piece_sentence, kept), np.isin(self.word_sentence, kept)
        if not by_piece.any():  # the sentences that were drawn lie behind the cut at `max_pieces`
            return self
        new_word = np.append(np.cumsum(by_word) - 1, -1)
        return ReportTokens(
            self.pieces[by_piece], new_word[self.piece_word[by_piece]], np.searchsorted(kept, self.piece_sentence[by_piece]),
            self.word_type[by_word], self.word_weight[by_word], np.searchsorted(kept, self.word_sentence[by_word]),
        )  # fmt: skip


class TokenStore:
    """The tokens of many reports, in flat arrays with offsets; on disk one memory-mapped Arrow file.

    len(store) is the number of reports; `store[i]` the `ReportTokens` of one; `collate_tokens` makes tensors of some.
    """

    def __init__(self, flat: dict[str, np.ndarray], piece_offsets: np.ndarray, word_offsets: np.ndarray, specials: dict[str, str]) -> None:
        self._flat, self._piece_offsets, self._word_offsets = flat, piece_offsets, word_offsets
        self.fingerprint = specials["fingerprint"]
        self.pad_id, self.cls_id, self.sep_id = (int(specials[name]) for name in ("pad", "cls", "sep"))

    @classmethod
    def from_texts(
        cls, texts: Sequence[str], tokenizer: ReportTokenizer, max_pieces: int = MAX_PIECES, scratch: Path | None = None
    ) -> TokenStore:
        """Cut reports (or prompts) into at most `max_pieces` pieces, special tokens included, ending with a whole word.

        Equal texts are cut once. With `scratch`, a folder, the tokens lie there in nameless files, and memory holds numbers of texts only.
        """
        same = same_as(texts)
        new = same == np.arange(len(same))
        lengths, flat = _cut(compress(texts, new), tokenizer, max_pieces, scratch)
        if not new.all():
            lengths, flat = _in_order(lengths, flat, (np.cumsum(new) - 1)[same], scratch)
        pieces, words = (np.concatenate([[0], np.cumsum(some)]) for some in lengths)
        ids_ = {
            "pad": str(tokenizer.pad_id),
            "cls": str(tokenizer.cls_id),
            "sep": str(tokenizer.sep_id),
            "fingerprint": tokenizer.fingerprint,
        }
        return cls({name: values.array() for name, values in flat.items()}, pieces, words, ids_)

    def save(self, path: Path) -> None:
        """Write the Arrow file."""
        metadata = {"fingerprint": self.fingerprint, "pad": str(self.pad_id), "cls": str(self.cls_id), "sep": str(self.sep_id)}
        lists, kind = (pa.ListArray, pa.int32()) if self._piece_offsets[-1] < 2**31 - 1 else (pa.LargeListArray, pa.int64())
        pieces, words = pa.array(self._piece_offsets, kind), pa.array(self._word_offsets, kind)
        arrays = [lists.from_arrays(pieces if name.startswith("piece") else words, pa.array(self._flat[name])) for name in _COLUMNS]
        batch = pa.record_batch(arrays, names=list(_COLUMNS)).replace_schema_metadata(metadata)
        with whole_file(path) as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)

    @classmethod
    def open(cls, path: Path) -> TokenStore:
        """Map a file that `save` wrote."""
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        metadata = {key.decode(): value.decode() for key, value in batch.schema.metadata.items()}
        flat = {name: batch.column(name).values.to_numpy() for name in _COLUMNS}
        return cls(flat, batch.column("pieces").offsets.to_numpy(), batch.column("word_type").offsets.to_numpy(), metadata)

    def __len__(self) -> int:
        return len(self._piece_offsets) - 1

    def __getitem__(self, row: int) -> ReportTokens:
        pieces = slice(int(self._piece_offsets[row]), int(self._piece_offsets[row + 1]))
        words = slice(int(self._word_offsets[row]), int(self._word_offsets[row + 1]))
        return ReportTokens(**{name: flat[pieces if name.startswith("piece") else words] for name, flat in self._flat.items()})

    def collate(
        self, rows: Sequence[int] | np.ndarray, rng: np.random.Generator | None = None, shuffle: bool = True, shorten: float = 0.0
    ) -> dict[str, Tensor]:
        """`collate_tokens` of these rows. With `rng`, a share `shorten` is cut to `some_sentences`, and `shuffle` then reorders each."""
        whole = reports = [self[int(row)] for row in rows]
        if rng is not None:
            reports = [report.some_sentences(rng) if rng.random() < shorten else report for report in reports]
            reports = [report.shuffled(rng) for report in reports] if shuffle else reports
        return collate_tokens(reports, self.pad_id, self.cls_id, self.sep_id, whole)


def _cut(
    texts: Iterable[str], tokenizer: ReportTokenizer, max_pieces: int, scratch: Path | None
) -> tuple[np.ndarray, dict[str, GrowingArray]]:
    """The tokens of different texts, end to end, and how many pieces and words each has: [2, N] int32."""
    flat = {name: GrowingArray(kind, scratch) for name, kind in _COLUMNS.items()}
    texts, lengths = iter(texts), [np.zeros((2, 0), np.int32)]
    while some := list(islice(texts, _AT_ONCE)):
        done = [report_tokens(text, ids, offsets, max_pieces) for text, (ids, offsets) in zip(some, tokenizer.encode(some), strict=True)]
        lengths.append(np.array([[len(r.pieces) for r in done], [len(r.word_type) for r in done]], np.int32))
        for name, values in flat.items():
            values.append(np.concatenate([getattr(r, name) for r in done]))
    return np.concatenate(lengths, axis=1), flat


def _in_order(
    lengths: np.ndarray, flat: dict[str, GrowingArray], order: np.ndarray, scratch: Path | None
) -> tuple[np.ndarray, dict[str, GrowingArray]]:
    """The same for texts in another order, some perhaps several times."""
    result = {}
    for name, values in flat.items():
        sizes, whole = lengths[0 if name.startswith("piece") else 1].astype(np.int64), values.array()
        starts, result[name] = np.cumsum(sizes) - sizes, GrowingArray(_COLUMNS[name], scratch)
        for begin in range(0, len(order), _AT_ONCE):
            some = order[begin : begin + _AT_ONCE]
            chosen = sizes[some]
            result[name].append(whole[np.repeat(starts[some] - (np.cumsum(chosen) - chosen), chosen) + np.arange(chosen.sum())])
    return lengths[:, order], result


def report_tokens(text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]], max_pieces: int = MAX_PIECES) -> ReportTokens:
    """Join one tokenised report with its words and sentences."""
    sentences = sentence_spans(text)
    spans, types, weights, where = [], [], [], []
    for number, (start, end) in enumerate(sentences):
        for a, b, kind, weight in sentence_words(text[start:end]):
            spans.append((start + a, start + b))
            types.append(kind)
            weights.append(weight)
            where.append(number)
    if not any(weights):
        weights = [_PLAIN_WEIGHT * (text[a:b].lower() not in STOP_WORDS) for a, b in spans]
    piece_word = words_of_pieces(offsets, spans)
    limit = _whole_words(piece_word, max_pieces - 2)
    words = int(piece_word[:limit].max(initial=-1)) + 1
    ends = np.array([end for _, end in offsets[:limit]], dtype=np.int64)  # a piece may begin with the space before its sentence
    sentence_starts = np.array([start for start, _ in sentences], dtype=np.int64)
    piece_sentence = np.maximum(np.searchsorted(sentence_starts, ends) - 1, 0) if len(sentences) else np.zeros(limit, dtype=np.int64)
    columns = (ids[:limit], piece_word[:limit], piece_sentence, types[:words], weights[:words], where[:words])
    return ReportTokens(*(np.array(column, dtype=kind) for column, kind in zip(columns, _COLUMNS.values(), strict=True)))


@lru_cache(maxsize=16384)
def sentence_words(sentence: str) -> tuple[tuple[int, int, int, float], ...]:
    """(start, end, type, weight) of each word. Weight 1: finding, place, size and device words of what is affirmed; 0.5: of a doubt.

    Words of a sentence that affirms nothing weigh 0.
    """
    found = [m for m in mentions(sentence) if m.polarity != "denied" and BY_NAME[m.finding].relevant]
    weighty = [(m.start, m.end, _WEIGHT[m.polarity]) for m in found]
    if found:
        weighty += [(a, b, _WEIGHT[polarity(sentence, a, b)]) for a, b in [*place_spans(sentence), *severity_spans(sentence)]]
    result = []
    for start, end in word_spans(sentence):
        word = sentence[start:end]
        weight = max((w for a, b, w in weighty if a <= start and end <= b), default=0.0) if word.lower() not in STOP_WORDS else 0.0
        result.append((start, end, word_type(word, polarity(sentence, start, end) == "denied"), weight))
    return tuple(result)


def collate_tokens(
    reports: Sequence[ReportTokens], pad: int, cls: int, sep: int, whole: Sequence[ReportTokens] | None = None
) -> dict[str, Tensor]:
    """The text tensors of a `Batch`: pieces, piece_mask, piece_word [B,T], word_mask, word_type, word_weight, word_sentence [B,L] and
    report_type [B,W].

    Each report becomes `cls` pieces `sep`. whole: the same reports where some of their sentences are left out of `reports`.
    """
    full = reports if whole is None else whole
    rows = len(reports)
    length = max((len(r.pieces) for r in reports), default=0) + 2
    words = max(1, max((len(r.word_type) for r in reports), default=0))
    pieces, piece_word = np.full((rows, length), pad, dtype=np.int64), np.full((rows, length), -1, dtype=np.int64)
    piece_mask, word_mask = np.zeros((rows, length), dtype=bool), np.zeros((rows, words), dtype=bool)
    types, sentences, weights = np.zeros((rows, words), np.int64), np.zeros((rows, words), np.int64), np.zeros((rows, words), np.float32)
    for i, report in enumerate(reports):
        t, w = len(report.pieces), len(report.word_type)
        pieces[i, 0], pieces[i, 1 : t + 1], pieces[i, t + 1] = cls, report.pieces, sep
        piece_word[i, 1 : t + 1], piece_mask[i, : t + 2], word_mask[i, :w] = report.piece_word, True, True
        types[i, :w], weights[i, :w], sentences[i, :w] = report.word_type, report.word_weight, report.word_sentence
    report_type = np.zeros((rows, max(1, max((len(r.word_type) for r in full), default=0))), np.int64)
    for i, report in enumerate(full):
        report_type[i, : len(report.word_type)] = report.word_type
    arrays = {
        "pieces": pieces,
        "piece_mask": piece_mask,
        "piece_word": piece_word,
        "word_mask": word_mask,
        "word_type": types,
        "word_weight": weights,
        "word_sentence": sentences,
        "report_type": report_type,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _whole_words(piece_word: np.ndarray, limit: int) -> int:
    """How many pieces to keep so that at most `limit` remain and no word is cut; a single endless word is cut all the same."""
    if len(piece_word) <= limit:
        return len(piece_word)
    last = limit
    while last and piece_word[last] >= 0 and piece_word[last - 1] == piece_word[last]:
        last -= 1
    return last or limit

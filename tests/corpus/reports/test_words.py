from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from sista.corpus.reports.tokenizer import train_tokenizer
from sista.corpus.reports.words import word_spans, word_type, words_of_pieces

TEXTS = [
    "Small left-sided pleural effusion, 2.5 cm.",
    "No pneumothorax; patient's heart is normal.",
    "XX (right) lower-lobe consolidation!",
] * 3


def test_words_of_a_text() -> None:
    text = "A 2.5 cm left-sided nodule, patient's."
    assert [text[a:b] for a, b in word_spans(text)] == ["A", "2.5", "cm", "left", "sided", "nodule", "patient's"]


def test_words_from_pieces_agree_between_tokenizers() -> None:
    """WordPiece and byte-level BPE cut differently; the letters of each word end up in the same word."""
    piece = train_tokenizer(TEXTS, vocab_size=60)
    bytes_ = Tokenizer(models.BPE(unk_token="[UNK]"))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bytes_.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False))
    for text in TEXTS:
        spans = word_spans(text)
        letters = []
        for offsets in (piece.encode([text])[0][1], bytes_.encode(text).offsets):
            words = words_of_pieces(offsets, spans)
            owner = {}
            for (start, end), word in zip(offsets, words, strict=True):
                for place in range(start, end):
                    if text[place].isalnum() and word >= 0:
                        owner[place] = word
            letters.append(owner)
        assert letters[0] == letters[1]
        assert set(letters[0].values()) == set(range(len(spans)))


def test_punctuation_and_special_tokens_belong_to_no_word() -> None:
    np.testing.assert_array_equal(words_of_pieces([(0, 0), (0, 2), (2, 3), (4, 6), (0, 0)], [(0, 2), (4, 6)]), [-1, 0, -1, 1, -1])


def test_word_types_are_stable_and_know_polarity() -> None:
    assert word_type("Effusion") == word_type("effusion") == 204689275
    assert word_type("effusion", negated=True) != word_type("effusion")
    assert 0 < word_type("x") < 2**31

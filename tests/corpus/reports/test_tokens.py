from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from sista.corpus.reports.tokenizer import ReportTokenizer, train_tokenizer
from sista.corpus.reports.tokens import MAX_PIECES, TokenStore, report_tokens
from sista.corpus.reports.words import word_spans, word_type

TEXTS = [
    "Small left pleural effusion. No pneumothorax. Heart size is normal.",
    "The lungs are clear.",
    "Possible nodule in the right apex, 2.5 cm. Left pacemaker.",
]
TOKENIZER = train_tokenizer(TEXTS * 3, vocab_size=80)


@pytest.fixture
def store() -> TokenStore:
    return TokenStore.from_texts(TEXTS, TOKENIZER)


def test_words_weights_and_types(store: TokenStore) -> None:
    first = store[0]
    words = [TEXTS[0][a:b].lower() for a, b in word_spans(TEXTS[0])]
    assert dict(zip(words, first.word_weight.tolist(), strict=True)) == {
        "small": 1, "left": 1, "pleural": 1, "effusion": 1, "no": 0, "pneumothorax": 0, "heart": 0, "size": 0, "is": 0, "normal": 0,
    }  # fmt: skip
    assert first.word_type[5] == word_type("pneumothorax", negated=True)
    assert first.word_type[3] == word_type("effusion")
    np.testing.assert_array_equal(first.word_sentence, [0, 0, 0, 0, 1, 1, 2, 2, 2, 2])


def test_a_report_without_a_finding_weighs_its_content_words_a_little(store: TokenStore) -> None:
    assert dict(zip(["the", "lungs", "are", "clear"], np.round(store[1].word_weight.tolist(), 3), strict=True)) == {
        "the": 0,
        "lungs": 0.1,
        "are": 0,
        "clear": 0.1,
    }


def test_doubt_halves_the_weight(store: TokenStore) -> None:
    weights = dict(zip((TEXTS[2][a:b] for a, b in word_spans(TEXTS[2])), store[2].word_weight.tolist(), strict=True))
    assert (weights["nodule"], weights["apex"], weights["pacemaker"], weights["Possible"]) == (0.5, 0.5, 1.0, 0.0)


def test_disk_round_trip(store: TokenStore, tmp_path: Path) -> None:
    store.save(tmp_path / "a.arrow")
    read = TokenStore.open(tmp_path / "a.arrow")
    assert len(read) == 3
    assert read.fingerprint == TOKENIZER.fingerprint
    for one, other in zip(store.collate([2, 0]).values(), read.collate([2, 0]).values(), strict=True):
        assert one.dtype == other.dtype
        assert bool((one == other).all())


def test_collation_shapes_and_padding(store: TokenStore) -> None:
    batch = store.collate([0, 1])
    pieces, mask, words = batch["pieces"], batch["piece_mask"], batch["piece_word"]
    assert pieces[0, 0] == TOKENIZER.cls_id
    assert pieces[1, mask[1].sum() - 1] == TOKENIZER.sep_id
    assert bool((pieces[~mask] == TOKENIZER.pad_id).all())
    assert bool((words[~mask] == -1).all())
    assert bool((words[:, 0] == -1).all())
    assert batch["word_mask"].sum(1).tolist() == [10, 4]
    assert words.max(1).values.tolist() == [9, 3]
    assert bool((batch["word_type"][~batch["word_mask"]] == 0).all())


def test_shuffling_sentences_keeps_what_is_said(store: TokenStore) -> None:
    plain = store.collate([0, 2])
    orders = set()
    for seed in range(8):
        shuffled = store.collate([0, 2], np.random.default_rng(seed))
        for row in range(2):
            assert sorted(shuffled["pieces"][row].tolist()) == sorted(plain["pieces"][row].tolist())
            for batch in (plain, shuffled):
                assert (batch["word_sentence"][row][batch["word_mask"][row]].diff() >= 0).all()

            def told(batch: dict, row: int) -> Counter:
                """Each piece with its word's type and weight."""
                pairs = zip(batch["pieces"][row].tolist(), batch["piece_word"][row].tolist(), strict=True)
                return Counter(
                    (p, batch["word_type"][row, w].item() if w >= 0 else 0, batch["word_weight"][row, w].item() if w >= 0 else 0)
                    for p, w in pairs
                )

            assert told(shuffled, row) == told(plain, row)
        orders.add(tuple(shuffled["word_type"][0].tolist()))
    assert len(orders) > 2
    again = store.collate([0, 2], np.random.default_rng(3))
    assert bool((again["pieces"] == store.collate([0, 2], np.random.default_rng(3))["pieces"]).all())


def test_long_reports_end_with_a_whole_word() -> None:
    text = "Consolidation in the right lower lobe. " * 40
    tokens = TokenStore.from_texts([text], TOKENIZER)[0]
    assert len(tokens.pieces) <= MAX_PIECES - 2
    spans, (_, offsets) = word_spans(text), TOKENIZER.encode([text])[0]
    last = int(tokens.piece_word.max())
    assert len(tokens.word_type) == last + 1
    assert offsets[int(np.flatnonzero(tokens.piece_word == last)[-1])][1] == spans[last][1]


def test_an_endless_word_is_cut_all_the_same() -> None:
    tokens = TokenStore.from_texts(["x" * 90], TOKENIZER, max_pieces=6)[0]
    assert len(tokens.pieces) <= 4


def test_an_empty_text_has_its_special_tokens() -> None:
    batch = TokenStore.from_texts([""], TOKENIZER).collate([0])
    assert batch["pieces"].tolist() == [[TOKENIZER.cls_id, TOKENIZER.sep_id]]
    assert not batch["word_mask"].any()


@pytest.mark.parametrize("kind", ["byte-level", "metaspace"])
def test_a_piece_that_begins_with_the_space_before_its_sentence_belongs_to_it(kind: str) -> None:
    text = "There is edema. No effusion is seen. Heart is normal."
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if kind == "byte-level" else pre_tokenizers.Metaspace()
    made.train_from_iterator([text] * 5, trainers.BpeTrainer(vocab_size=300, special_tokens=special))
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    ids, offsets = ReportTokenizer(made, special).encode([text])[0]
    report = report_tokens(text, ids, offsets)
    for number, first in enumerate(("There", "No", "Heart")):
        piece = made.id_to_token(int(report.pieces[report.piece_sentence == number][0]))
        assert piece.strip("\u0120\u2581") == first


def test_some_sentences_are_whole_sentences_in_their_order(store: TokenStore) -> None:
    whole = store[0]
    seen = set()
    for seed in range(30):
        part = whole.some_sentences(np.random.default_rng(seed))
        kept = tuple(np.unique(whole.word_sentence[np.isin(whole.word_type, part.word_type)]).tolist())
        inside = np.isin(whole.word_sentence, kept)
        np.testing.assert_array_equal(part.word_type, whole.word_type[inside])
        np.testing.assert_array_equal(part.word_weight, whole.word_weight[inside])
        np.testing.assert_array_equal(part.pieces, whole.pieces[np.isin(whole.piece_sentence, kept)])
        assert part.piece_word.max() == len(part.word_type) - 1
        assert set(part.word_sentence) == set(range(len(kept)))
        for piece, word in zip(part.pieces, part.piece_word, strict=True):
            if word >= 0:
                assert part.word_type[word] in whole.word_type[whole.piece_word[whole.pieces == piece]]
        seen.add(kept)
    assert (0, 1, 2) in seen
    assert {len(kept) for kept in seen} == {1, 2, 3}


def test_one_sentence_stays(store: TokenStore) -> None:
    assert store[1].some_sentences(np.random.default_rng(0)) is store[1] or len(store[1].pieces) > 0
    np.testing.assert_array_equal(store[1].some_sentences(np.random.default_rng(0)).pieces, store[1].pieces)


def test_collate_shortens_a_share_of_the_reports(store: TokenStore) -> None:
    rows = [0, 2] * 50
    never = store.collate(rows, np.random.default_rng(0), shuffle=False, shorten=0.0)["word_mask"].sum(1)
    always = store.collate(rows, np.random.default_rng(0), shuffle=False, shorten=1.0)["word_mask"].sum(1)
    half = store.collate(rows, np.random.default_rng(0), shuffle=False, shorten=0.5)["word_mask"].sum(1)
    assert bool((always <= never).all())
    assert int((always < never).sum()) > int((half < never).sum()) > 10


def test_a_shortened_report_keeps_the_types_of_all_its_words(store: TokenStore) -> None:
    whole, empty = store.collate([0, 2, 1]), TokenStore.from_texts([""], TOKENIZER).collate([0])
    assert torch.equal(whole["report_type"], whole["word_type"])
    assert empty["report_type"].tolist() == [[0]]
    shorter = 0
    for seed in range(8):
        some = store.collate([0, 2, 1], np.random.default_rng(seed), shorten=1.0)
        assert torch.equal(some["report_type"], whole["word_type"])
        shorter += int(some["word_mask"].sum() < whole["word_mask"].sum())
    assert shorter

from __future__ import annotations

from pathlib import Path

import pytest

from sista.corpus.reports.tokenizer import SPECIALS, ReportTokenizer, load_tokenizer, train_tokenizer
from sista.errors import SistaError

TEXTS = ["Small left pleural effusion.", "No pneumothorax or effusion.", "Right lower lobe consolidation."] * 4


def test_training_is_repeatable_and_survives_the_disk(tmp_path: Path) -> None:
    first, second = train_tokenizer(TEXTS), train_tokenizer(TEXTS)
    assert first.fingerprint == second.fingerprint
    first.save(tmp_path)
    read = ReportTokenizer.open(tmp_path)
    assert read.fingerprint == first.fingerprint
    assert (read.pad_id, read.unk_id, read.cls_id, read.sep_id, read.mask_id) == (0, 1, 2, 3, 4)
    assert read.encode(TEXTS) == first.encode(TEXTS)
    assert load_tokenizer(str(tmp_path)).fingerprint == first.fingerprint
    assert load_tokenizer(str(tmp_path / "tokenizer.json")).fingerprint == first.fingerprint


def test_it_lowers_case_and_obeys_the_limit() -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=60)
    assert tokenizer.vocab_size <= 60
    assert tokenizer.encode(["EFFUSION"])[0][0] == tokenizer.encode(["effusion"])[0][0]
    assert tokenizer.get_vocab_size() == len(tokenizer)


def test_a_vocabulary_file_is_cased_unless_its_name_says_so(tmp_path: Path) -> None:
    for name in ("words_cased.txt", "words_uncased.txt"):
        (tmp_path / name).write_text("\n".join([*SPECIALS, "No", "no", "effusion"]) + "\n")
    cased, uncased = load_tokenizer(str(tmp_path / "words_cased.txt")), load_tokenizer(str(tmp_path / "words_uncased.txt"))
    assert cased.encode(["No effusion"])[0][0] == [5, 7]
    assert uncased.encode(["No effusion"])[0][0] == [6, 7]


def test_missing_special_tokens_and_wrong_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[UNK]\na\n")
    with pytest.raises(SistaError, match=r"vocab\.txt: it has no \[PAD\]"):
        load_tokenizer(str(tmp_path / "vocab.txt"))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SistaError, match=r"not a tokenizer\.json"):
        load_tokenizer(str(tmp_path / "tokenizer.json"))
    with pytest.raises(SistaError, match="cannot be loaded"):
        load_tokenizer(str(tmp_path / "nothing"))


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    train_tokenizer(["a small effusion"] * 3).save(tmp_path)
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text()[:200])
    with pytest.raises(SistaError, match=r"tokenizer\.json is damaged or missing"):
        ReportTokenizer.open(tmp_path)


def test_a_transformers_tokenizer_by_folder(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    own = train_tokenizer(TEXTS)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=own.tokenizer, **names).save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).encode(TEXTS) == own.encode(TEXTS)


def test_the_vocabulary_of_bert(data: Path) -> None:
    tokenizer = load_tokenizer(str(data / "vocab" / "bert_base_cased.txt"))
    assert tokenizer.vocab_size == 28996
    assert tokenizer.tokenizer.encode("Pleural effusion").tokens[0][0] == "P"

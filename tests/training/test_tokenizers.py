"""A text encoder by path brings its own tokenizer: the corpus must have been cut with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import BertConfig, BertModel, BertTokenizerFast

import sista
from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.training.pretrain import pretrain
from sista.training.settings import ModelSettings, OptimizerSettings, RunSettings

OPTIMIZER = OptimizerSettings(epochs=1, batch_size=24)
RUN = RunSettings(progress=False)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as it lies on disk after a download: configuration, weights, tokenizer; the vocabulary cuts words into letters."""
    folder = tmp_path_factory.mktemp("bert")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{c}" for c in letters),
        ".",
        ",",
        ":",
        "no",
        "left",
        "right",
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_corpus_cut_with_another_tokenizer_is_refused(bert: Path, corpus_path: Path, tmp_path: Path) -> None:
    with pytest.raises(SistaError, match=r"--tokenizer"):
        pretrain(corpus_path, tmp_path / "run", model=ModelSettings(text_encoder=str(bert)), optimizer=OPTIMIZER, run=RUN)
    assert not (tmp_path / "run").exists()


def test_with_its_own_tokenizer_it_trains_and_loads_without_the_original(bert: Path, tmp_path: Path) -> None:
    build(Phantom(60, size=64), tmp_path / "corpus", workers=1, progress=False, tokenizer=str(bert), fractions=(0.8, 0.1, 0.1))
    corpus = Corpus.open(tmp_path / "corpus")
    assert len(corpus.tokenizer) == 63
    pretrain(corpus.path, tmp_path / "run", model=ModelSettings(text_encoder=str(bert)), optimizer=OPTIMIZER, run=RUN)
    further = ModelSettings(text_encoder=str(bert), start=str(tmp_path / "run"))  # the same encoders, made of a folder and of a checkpoint
    pretrain(corpus.path, tmp_path / "further", model=further, optimizer=OPTIMIZER, run=RUN)
    for file in bert.iterdir():
        file.rename(file.with_name("gone-" + file.name))
    assert sista.load(tmp_path / "run").encode_texts(["No pneumothorax."]).shape == (1, 128)

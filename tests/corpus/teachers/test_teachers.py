from __future__ import annotations

import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from sista.corpus.corpus import Corpus
from sista.corpus.reports.report import clean_text
from sista.corpus.reports.sections import training_text
from sista.corpus.teachers import Reports, file_stem, make_teacher
from sista.corpus.teachers.tfidf import statements
from sista.errors import SistaError

NORMAL = [
    "The lungs are clear. Heart size is normal.",
    "No effusion or pneumothorax. Bony thorax intact. Degenerative changes of the spine.",
    "No acute cardiopulmonary abnormality. The aorta is tortuous.",
]
EFFUSION = [
    "Small left pleural effusion. No pneumothorax.",
    "Heart size is normal. Small effusion on the left.",
    "Small left pleural fluid. Trachea is midline.",
]
OTHER = [
    "Right upper lobe consolidation. No effusion.",
    "Large right pleural effusion.",
    "Left pacemaker. Cardiomegaly.",
    "Nodule in the left apex.",
]
TEXTS = NORMAL + EFFUSION + OTHER


def similarity(name: str, reports: Reports | list[str] = TEXTS) -> np.ndarray:
    vectors = make_teacher(name).fit(reports).vectors(reports)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    return vectors @ vectors.T


@pytest.mark.parametrize("name", ["tfidf", "labels"])
def test_the_same_findings_in_other_words_are_alike_and_others_are_not(name: str) -> None:
    s = similarity(name)
    assert s[:3, :3].min() > 0.9999
    assert s[3:6, 3:6].min() > 0.999
    assert s[:3, 3:].max() < 1e-5
    assert s[3:6, 6:].max() < 0.9
    assert 0.1 < s[3, 7] < 0.9  # an effusion, but another side


def test_raw_tfidf_is_what_the_filter_mends() -> None:
    raw, filtered = similarity("tfidf-raw"), similarity("tfidf")
    assert raw[:3, :3].min() < 0.5 < filtered[:3, :3].min()
    assert raw[3, 5] < filtered[3, 5]


def test_raw_tfidf_knows_that_a_denial_is_not_the_thing() -> None:
    texts = ["Effusion.", "No effusion.", "Large effusion.", "Negative for effusion."]
    s = similarity("tfidf-raw", texts)
    assert s[0, 1] < 1e-5
    assert s[0, 2] > 0.3


def test_statements_of_a_report() -> None:
    assert statements("Small left effusion. No pneumothorax. Old rib fractures.") == ["pleural_effusion", "left", "lower"]
    assert statements("Cardiomegaly and edema.") == ["cardiomegaly", ".", "edema"]
    assert statements("Normal chest.") == []


def test_reports_never_seen_are_neither_normal_nor_an_error() -> None:
    for name in ("tfidf", "labels"):
        teacher = make_teacher(name).fit([NORMAL[0], EFFUSION[0]])
        vectors = teacher.vectors([NORMAL[1], "Rib fracture.", EFFUSION[1]])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert abs(float(vectors[0] @ vectors[1])) < 1e-5


@pytest.mark.parametrize("name", ["tfidf", "tfidf-raw", "labels"])
@pytest.mark.parametrize("texts", [["The lungs are clear."], ["Left effusion."], NORMAL, ["Left effusion."] * 3])
def test_tiny_corpora(name: str, texts: list[str]) -> None:
    assert np.isfinite(similarity(name, texts)).all()


def test_teachers_repeat_themselves() -> None:
    for name in ("tfidf", "tfidf-raw", "labels"):
        np.testing.assert_array_equal(similarity(name), similarity(name))


def test_labels_of_the_corpus_outrank_the_rules() -> None:
    labels = np.array([[1.0, 0.0], [0.0, 0.0], [np.nan, np.nan]], dtype=np.float32)
    reports = Reports(["The lungs are clear.", "Left effusion.", "Left effusion."], labels, ("edema", "pleural effusion"))
    vectors = make_teacher("labels").fit(reports).vectors(reports)
    assert vectors[1][-2] == 1  # normal by its labels
    assert float(vectors[0] @ vectors[2]) == 0


@pytest.mark.parametrize(
    ("label", "one", "other"),
    [
        ("Pleural Effusion", "Left pleural effusion.", "Right pleural effusion."),
        ("Pneumonia", "Left upper lobe pneumonia.", "Right lower lobe pneumonia."),
        ("Lung Lesion", "Nodule in the left upper lung.", "Mass in the right lower lobe."),
        ("Support Devices", "Left pacemaker.", "Endotracheal tube."),
    ],
)
def test_places_tell_apart_what_a_label_calls_the_same(label: str, one: str, other: str) -> None:
    alike = similarity("labels", Reports([one, other, one], np.array([[1.0], [1.0], [1.0]], np.float32), (label,)))
    assert 0.1 < alike[0, 1] < 0.9
    assert alike[0, 2] == pytest.approx(1)


def test_a_row_without_labels_is_like_one_with_the_same_text() -> None:
    text = "Right lower lobe pneumonia."
    alike = similarity("labels", Reports([text, text], np.array([[1.0], [np.nan]], np.float32), ("Pneumonia",)))
    assert alike[0, 1] == pytest.approx(1)


def test_oracle_is_one_exactly_for_equal_sets() -> None:
    truth = [
        ["a/left/lower", "a/right/upper"],
        ["a/left/upper", "a/right/lower"],
        ["a/right/upper", "a/left/lower"],
        [],
        [],
        ["a/left/lower"],
        ["b//"],
        ["b//", "a/left/lower"],
    ]
    s = similarity("oracle", Reports([""] * len(truth), true_findings=truth))
    equal = np.array([[sorted(a) == sorted(b) for a in truth] for b in truth])
    np.testing.assert_array_equal(s > 1 - 1e-5, equal)
    assert 0 < s[0, 1] < 0.9
    assert 0 < s[5, 7] < 0.9


def test_oracle_refuses_where_nobody_knows() -> None:
    with pytest.raises(SistaError, match="holds no true findings"):
        similarity("oracle", ["a"])
    with pytest.raises(SistaError, match="holds no true findings"):
        similarity("oracle", Reports(["a", "b"], true_findings=[[], None]))


def test_unknown_names() -> None:
    with pytest.raises(SistaError, match=r"teacher 'tfdif': did you mean 'tfidf'"):
        make_teacher("tfdif")
    with pytest.raises(SistaError, match="unknown pooling 'max'"):
        make_teacher("hf:x#max")
    with pytest.raises(SistaError, match=r"hf:/nowhere/at-all: the model cannot be loaded .* use the teacher 'tfidf'"):
        make_teacher("hf:/nowhere/at-all").vectors(["a"])


def test_file_names_do_not_clash() -> None:
    assert file_stem("tfidf-raw") == "tfidf-raw"
    assert len({file_stem(n) for n in ("hf:a/b", "hf:a-b", "hf:a/b#mean", "hf-a-b")}) == 4


def test_a_text_encoder_as_teacher(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from sista.corpus.reports.tokenizer import SPECIALS, train_tokenizer

    own = train_tokenizer(TEXTS)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=own.tokenizer, **names).save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(own), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=64
    )
    BertModel(config).save_pretrained(tmp_path)
    found = {}
    for pooling in ("cls", "mean", "pooler"):
        texts = [TEXTS[0], TEXTS[1] + " " + TEXTS[2], TEXTS[0]]
        s = make_teacher(f"hf:{tmp_path}#{pooling}").vectors(texts)
        assert s.shape == (3, 16)
        np.testing.assert_array_equal(s[0], s[2])
        alone = make_teacher(f"hf:{tmp_path}#{pooling}").vectors(texts[:1])
        np.testing.assert_allclose(alone[0], s[0], atol=1e-5)  # padding has no effect
        found[pooling] = s
    assert not np.allclose(found["cls"], found["mean"])
    np.testing.assert_array_equal(make_teacher(f"hf:{tmp_path}").vectors(texts), found["cls"])


def test_real_reports(data: Path) -> None:
    """OpenI: every report gets a vector, the normal ones (by their manual terms) are one and the same."""
    reports, normal = [], []
    with tarfile.open(data / "openi" / "NLMCXR_reports.tgz") as archive:
        for number, member in enumerate(m for m in archive if m.name.endswith(".xml")):
            root = ET.parse(archive.extractfile(member)).getroot() if number % 10 == 0 else None  # type: ignore[arg-type]
            text = (
                clean_text(training_text({(a.get("Label") or "").lower(): a.text or "" for a in root.iter("AbstractText")}))
                if root is not None
                else ""
            )
            if root is not None and text:
                reports.append(text)
                normal.append([e.text for e in root.iter("major")] == ["normal"])
    vectors = make_teacher("tfidf").fit(reports).vectors(reports)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike = vectors[normal] @ vectors[normal].T
    assert (alike > 1 - 1e-5).mean() > 0.9
    other = vectors[np.array(normal)] @ vectors[~np.array(normal)].T
    assert (other > 1 - 1e-5).mean() < 0.4


def test_rules_ignore_the_labels_of_the_corpus() -> None:
    texts = ["Large left pleural effusion.", "The lungs are clear."]
    wrong = Reports(texts, np.array([[0.0], [1.0]]), ("Pleural Effusion",))
    by_rule, by_label = (make_teacher(name).fit(wrong).vectors(wrong) for name in ("rules", "labels"))
    np.testing.assert_array_equal(by_rule, make_teacher("rules").fit(texts).vectors(texts))
    assert not np.array_equal(by_rule, by_label)


def test_a_corpus_that_cannot_be_written_to(corpus_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    corpus = Corpus.open(corpus_path)
    assert len(corpus.teacher("tfidf").vectors)  # is stored there
    with pytest.raises(SistaError, match=r"teacher 'tfidf-raw' is not stored in .*have its owner run"):
        corpus.teacher("tfidf-raw")

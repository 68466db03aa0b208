from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel

from sista.archives.chexpert import OBSERVATIONS as RELEASED
from sista.corpus.reports.hf_labeller import CHEXBERT
from sista.corpus.reports.observations import OBSERVATIONS, make_labeller, observe, spoken_of
from sista.corpus.reports.tokenizer import train_tokenizer
from sista.errors import SistaError

NAN = np.nan
CASES: list[tuple[str, dict[str, int]]] = [
    ("Right lower lobe infiltrate.", {"lung opacity": 1}),
    ("No airspace disease.", {"lung opacity": 0}),
    ("Nodular opacity in the left apex.", {"lung lesion": 1, "lung opacity": 1}),
    ("Bandlike opacities at the bases.", {"atelectasis": 1, "lung opacity": 1}),
    ("Calcified nodule at the right base.", {}),
    ("No mass.", {"lung lesion": 0}),
    ("Suspected pneumonia.", {"pneumonia": -1}),
    ("Small effusions suspected.", {"pleural effusion": -1}),
    ("Opacity which may be due to infection.", {"lung opacity": 1, "pneumonia": -1}),
    ("The heart is borderline in size.", {"cardiomegaly": -1}),
    ("Borderline heart size.", {"cardiomegaly": -1}),
    ("The prior enlargement of the heart is no longer seen.", {"cardiomegaly": 0}),
    ("Blunting of the left costophrenic angle.", {}),
    ("Old healed rib fractures.", {"fracture": 1}),
    ("Please note that nondisplaced fractures may not be demonstrated.", {}),
    ("CT is more sensitive in detecting small nodules.", {}),
    ("CT is recommended to exclude a nodule.", {"lung lesion": -1}),
    ("The nodule is not well seen today.", {"lung lesion": 0}),
    ("No cardiomegaly with bilateral small pleural effusions.", {"cardiomegaly": 0, "pleural effusion": 1}),
    ("Almost completely resolved right pneumothorax.", {"pneumothorax": 1}),
    ("Left chest with tip projecting over the lower SVC.", {"support devices": 1}),
    ("Cardiac generator overlies the left chest.", {"support devices": 1}),
    ("Sternotomy wires and clips.", {}),
    ("Pulmonary vascular engorgement appears within limits of normal.", {}),
]


@pytest.mark.parametrize(("sentence", "expected"), CASES)
def test_observations(sentence: str, expected: dict[str, int]) -> None:
    found = observe(sentence)
    found.pop("no finding")
    assert found == expected


@pytest.mark.parametrize(
    ("report", "value"),
    [("Lungs are clear.", 1), ("", 1), ("Pacemaker and sternotomy wires.", 1), ("Mild scoliosis.", 0), ("Possible effusion.", 0)],
)
def test_no_finding(report: str, value: int) -> None:
    assert observe(report)["no finding"] == value


def test_names_are_those_of_the_release() -> None:
    assert tuple(RELEASED) == OBSERVATIONS
    assert set(CHEXBERT) == set(OBSERVATIONS)


def test_rules_give_one_row_per_report() -> None:
    labeller = make_labeller("rules")
    labels = labeller(["Left effusion. No edema.", "Possible pneumonia."])
    assert labels.shape == (2, 14)
    row = dict(zip(labeller.names, labels[0], strict=True))
    assert (row["Pleural Effusion"], row["Edema"], row["No Finding"]) == (1, 0, 0)
    assert np.isnan(row["Fracture"])
    assert labels[1, labeller.names.index("Pneumonia")] == -1
    assert labeller([]).shape == (0, 14)


def test_what_a_label_rests_on() -> None:
    said = spoken_of("Left effusion. The effusion is new.")["pleural effusion"]
    assert [(sentence, mention.polarity) for sentence, mention in said] == [
        ("Left effusion.", "affirmed"),
        ("The effusion is new.", "affirmed"),
    ]


SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
REPORTS = ["Left pleural effusion.", "Normal heart.", "Left pleural effusion."]


def folder_of(path: Path, **settings: Any) -> tuple[Path, BertConfig]:
    tokenizer = train_tokenizer(REPORTS * 3)
    tokenizer.save(path)
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}')
    torch.manual_seed(0)
    return path, BertConfig(vocab_size=len(tokenizer), max_position_embeddings=40, **SIZES, **settings)


def test_a_sequence_classifier(tmp_path: Path) -> None:
    path, config = folder_of(tmp_path, id2label={0: "Edema", 1: "Fracture"}, problem_type="multi_label_classification")
    model = BertForSequenceClassification(config)
    torch.nn.init.zeros_(model.classifier.weight)
    model.classifier.bias.data = torch.tensor([3.0, -3.0])
    model.save_pretrained(path)
    labeller = make_labeller(f"hf:{path}")
    assert labeller.names == ("Edema", "Fracture")
    np.testing.assert_array_equal(labeller(REPORTS), [[1, 0]] * 3)
    assert labeller(["word " * 100]).shape == (1, 2)


@pytest.mark.parametrize(("kind", "beside"), [("chexbert.pth", False), ("model.safetensors", False), ("chexbert.pth", True)])
def test_one_head_per_observation(tmp_path: Path, kind: str, beside: bool) -> None:
    path, config = folder_of(tmp_path)
    model = BertModel(config)
    if beside:  # the encoder it was trained from, without heads
        BertModel(config).save_pretrained(path)
    state = {f"module.bert.{key}": value for key, value in model.state_dict().items()}
    for number in range(14):
        classes = 2 if number == 13 else 4
        state[f"module.linear_heads.{number}.weight"] = torch.zeros(classes, 16)
        state[f"module.linear_heads.{number}.bias"] = torch.eye(classes)[number % classes].clone()
    config.save_pretrained(path)
    if kind.endswith("pth"):
        torch.save({"model_state_dict": state}, path / kind)
    else:
        save_file({key: value.contiguous().clone() for key, value in state.items()}, path / kind)
    labels = make_labeller(f"hf:{path}")(REPORTS)
    np.testing.assert_array_equal(labels[0], [*([NAN, 1, 0, -1] * 4)[:13], 1])
    np.testing.assert_array_equal(labels, labels[[0, 0, 0]])


def test_what_cannot_be_a_labeller_says_so(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="did you mean 'rules'"):
        make_labeller("rule")
    with pytest.raises(SistaError, match="cannot be loaded"):
        make_labeller(f"hf:{tmp_path / 'nothing'}")
    path, config = folder_of(tmp_path)
    BertModel(config).save_pretrained(path)
    with pytest.raises(SistaError, match="0 heads"):
        make_labeller(f"hf:{path}")
    config.problem_type = "single_label_classification"
    BertForSequenceClassification(config).save_pretrained(path)
    with pytest.raises(SistaError, match="needs a multi-label model"):
        make_labeller(f"hf:{path}")

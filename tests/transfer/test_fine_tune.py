"""Fine-tuning: rates by layer, the encoder given stays as it is, a mean colour is learnt, the best epoch is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.metrics.auroc import macro_auroc
from sista.metrics.result import read_run
from sista.models.image_encoder import ImageEncoder
from sista.transfer.classify import classify
from sista.transfer.fine_tune import TuneSettings, fine_tune, layer_depths, parameter_groups

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["sista_compact", "resnet18", "vit_tiny_patch16_224"])
def test_deeper_layers_have_larger_rates(name):
    encoder, head = ImageEncoder(name, image_size=64), torch.nn.Linear(4, 2)
    settings = TuneSettings(learning_rate=1.0, layer_decay=0.5)
    groups = parameter_groups(encoder, head, settings)
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    parameters = dict(encoder.model.named_parameters())
    assert len(rate) == len(parameters) + 2
    assert rate[id(head.weight)] == rate[id(head.bias)] == max(rate.values()) == 1
    depths = layer_depths(encoder.model)
    first, last = min(parameters, key=lambda one: depths[one]), max(parameters, key=lambda one: depths[one])
    assert depths[first] == 0
    assert rate[id(parameters[first])] == 0.5 ** (depths[last] + 1)
    assert rate[id(parameters[last])] == 0.5
    for parameter in (*parameters.values(), *head.parameters()):
        assert decay[id(parameter)] == (settings.weight_decay if parameter.ndim >= 2 else 0)
    order = {"sista_compact": ("stem", "blocks.2"), "resnet18": ("conv1", "layer4"), "vit_tiny_patch16_224": ("patch_embed", "blocks.11")}[
        name
    ]
    shallow, deep = (next(depths[one] for one in depths if one.startswith(prefix)) for prefix in order)
    assert shallow < deep
    assert len({group["lr"] for group in parameter_groups(encoder, head, TuneSettings(layer_decay=1.0))}) == 1


def test_tuning_learns_leaves_the_given_encoder_alone_and_repeats(corpus_path: Path):
    corpus = Corpus.open(corpus_path)
    train, valid = corpus.rows("train"), corpus.rows("valid")
    bright = corpus.films(np.arange(len(corpus))).float().mean(dim=(1, 2, 3)).numpy()
    labels = np.column_stack([bright > np.median(bright), np.full(len(corpus), np.nan)]).astype(float)
    labels[np.isnan(np.column_stack([bright, np.full(len(corpus), np.nan)]))] = np.nan
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = ImageEncoder("sista_compact", image_size=32)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    settings = TuneSettings(learning_rate=1e-2, epochs=6, batch_size=24, layer_decay=0.9)
    arguments = (encoder, corpus, train, labels[train], valid, labels[valid], settings)
    tuned, again = fine_tune(*arguments), fine_tune(*arguments)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert torch.equal(tuned.head.weight, again.head.weight)
    assert tuned.validation[tuned.best_epoch] == min(tuned.validation)
    scores = tuned.scores(corpus, valid, CPU, "fp32")
    assert macro_auroc(scores[:, :1], labels[valid][:, :1])[0] > 0.8
    loss = np.logaddexp(0, scores[:, 0]) - labels[valid][:, 0] * scores[:, 0]
    assert loss.mean() == pytest.approx(min(tuned.validation), rel=1e-4)


def test_classify_fine_tunes_several_and_one_of_many(run_path: Path, corpus_path: Path, tmp_path: Path):
    """The loss that chose the epoch is that of the logits that were kept: of each label by itself, or over the classes."""
    for multi_class, loss in ((False, binary_cross_entropy_with_logits), (True, cross_entropy)):
        result = classify(
            str(run_path),
            corpus_path,
            ["pleural effusion", "cardiomegaly"],
            [1.0],
            mode="fine-tune",
            tune=TuneSettings(epochs=1, batch_size=40),
            multi_class=multi_class,
            image_size=32,
            resamples=20,
            device="cpu",
            precision="fp32",
            out=tmp_path / str(multi_class),
        )
        kept = read_run(tmp_path / str(multi_class)).predictions
        valid = kept[kept["split"] == "valid"]
        logits, truth = (torch.tensor(valid.filter(like=kind).to_numpy(float)) for kind in ("score/", "label/"))
        assert result["per_share"]["1.0"]["draws"][0]["validation_loss"] == pytest.approx((float(loss(logits, truth)),), rel=1e-4)


def test_what_cannot_be_learnt_is_refused(corpus_path: Path):
    corpus, encoder = Corpus.open(corpus_path), ImageEncoder("sista_compact", image_size=32)
    rows, labels = np.arange(4), np.array([[0.0], [1], [0], [1]])
    with pytest.raises(SistaError, match="larger share"):
        fine_tune(encoder, corpus, rows, np.ones((4, 1)), rows, labels, TuneSettings())
    with pytest.raises(SistaError, match="no label is known in 4 validation rows"):
        fine_tune(encoder, corpus, rows, labels, rows, np.full((4, 1), np.nan), TuneSettings())
    with pytest.raises(SistaError, match="layer_decay"):
        fine_tune(encoder, corpus, rows, labels, rows, labels, TuneSettings(layer_decay=0))
    with pytest.raises(SistaError, match="patience 0"):
        fine_tune(encoder, corpus, rows, labels, rows, labels, TuneSettings(patience=0))
    for wrong in (TuneSettings(learning_rate=-1e-3), TuneSettings(clip=0.0), TuneSettings(weight_decay=-1.0)):
        with pytest.raises(SistaError, match="expected a rate and a clip above 0"):
            fine_tune(encoder, corpus, rows, labels, rows, labels, wrong)

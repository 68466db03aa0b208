"""Paired comparison of two runs: equal to a bootstrap by hand, the same whatever the order of the rows, and refused where nothing pairs."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sista.benchmark.compare import compare, mean_difference
from sista.errors import SistaError
from sista.metrics.detection import Boxes, coco_map
from sista.metrics.interval import resample_weights
from sista.metrics.result import REQUIRED, read_run, write_run
from sista.transfer.classify_scores import share_figures

N = 80


def write(out: Path, noise: float, seed: int = 0, films=range(N), order=None, task="classify", draws=1, flip=False, **more) -> Path:
    """A run of `draws` draws on films f0.. of two per subject, its labels the same in every run, its scores more or less noisy."""
    films = np.array(list(films))
    labels = (np.random.default_rng(0).random((N, 2)) < 0.4).astype(float)[films]
    random = np.random.default_rng(seed)
    scores = [labels + noise * random.normal(size=labels.shape) for _ in range(draws)]
    order = np.arange(len(films) * draws) if order is None else order
    columns = {
        "study_id": np.tile([f"s{i}" for i in films], draws),
        "film_id": np.tile([f"f{i}" for i in films], draws),
        "subject_id": np.tile([f"p{i // 2}" for i in films], draws),
        "split": np.tile(["test" if i > 3 else "valid" for i in films], draws),
        "share": np.full(len(films) * draws, 0.1),
        "draw": np.repeat(range(draws), len(films)),
    }
    for k, name in enumerate(("edema", "device")):
        columns |= {f"label/{name}": np.tile(1 - labels[:, k] if flip else labels[:, k], draws)}
        columns |= {f"score/{name}": np.concatenate([one[:, k] for one in scores])}
    columns |= more
    facts = {**dict.fromkeys(REQUIRED), "task": task, "encoder": {"sha256": "e"}}
    write_run(out, facts, {name: np.asarray(values)[order] for name, values in columns.items()})
    return out


def test_difference_interval_and_p_equal_a_bootstrap_by_hand(tmp_path):
    a, b = write(tmp_path / "a", 0.6, 1, draws=2), write(tmp_path / "b", 1.2, 2, draws=2)
    found = compare(a, b, ["auroc/edema@0.1"], resamples=200)["metrics"]["auroc/edema@0.1"]
    labels = (np.random.default_rng(0).random((N, 2)) < 0.4).astype(float)[4:]
    scores = {}
    for name, noise, seed in (("a", 0.6, 1), ("b", 1.2, 2)):
        random, whole = np.random.default_rng(seed), (np.random.default_rng(0).random((N, 2)) < 0.4).astype(float)
        scores[name] = [(whole + noise * random.normal(size=whole.shape))[4:, 0] for _ in range(2)]

    def difference(rows):
        return np.subtract(*(np.mean([roc_auc_score(labels[rows, 0], one[rows]) for one in scores[name]]) for name in "ab"))

    assert found["difference"]["value"] == pytest.approx(difference(np.arange(N - 4)))
    drawn = np.concatenate(list(resample_weights(N - 4, [f"p{i // 2}" for i in range(4, N)], 200, 0)), axis=1).astype(int)
    by_hand = np.array([difference(np.repeat(np.arange(N - 4), column)) for column in drawn.T])
    np.testing.assert_allclose(found["difference"]["ci95"], np.quantile(by_hand, [0.025, 0.975]))
    tail = min((by_hand <= 0).sum(), (by_hand >= 0).sum())
    assert found["difference"]["p"] == pytest.approx(2 * (tail + 1) / 201)
    assert found["a"] - found["b"] == pytest.approx(found["difference"]["value"])


def test_of_one_class_of_many_probabilities_are_compared_as_the_run_has_scored_them(tmp_path):
    """What a model adds to all logits of a film changes no probability, and so no figure."""
    rng = np.random.default_rng(3)
    kinds = np.eye(3)[rng.integers(3, size=N)]
    logits = 2 * kinds + rng.normal(size=(N, 3))
    facts = {**dict.fromkeys(REQUIRED), "task": "classify", "encoder": {"sha256": "e"}, "multi_class": True}
    ids = {"study_id": range(N), "film_id": range(N), "subject_id": range(N), "split": ["test"] * N}
    for name, held in (("a", logits), ("b", logits + 5 * rng.normal(size=(N, 1)))):
        scores = {f"label/{k}": kinds[:, k] for k in range(3)} | {f"score/{k}": held[:, k] for k in range(3)}
        write_run(tmp_path / name, facts, {**{key: list(map(str, value)) for key, value in ids.items()}, **scores})
    found = compare(tmp_path / "a", tmp_path / "b", resamples=50)["metrics"]
    stated = share_figures([logits], kinds, [logits], kinds, ["0", "1", "2"], np.arange(N).astype(str), one_of_many=True, resamples=10)
    for metric in ("auroc", "average_precision"):
        assert found[metric]["a"] == pytest.approx(stated[metric]["value"])
        assert found[metric]["difference"]["value"] == pytest.approx(0, abs=1e-12)


def test_the_mean_over_seeds_resamples_each_run_once_and_says_the_same(tmp_path):
    mine = [read_run(write(tmp_path / f"a{seed}", 0.6, seed)) for seed in (1, 2)]
    others = {noise: [read_run(write(tmp_path / f"b{noise}{seed}", noise, seed + 5)) for seed in (1, 2)] for noise in (0.9, 1.2)}
    held = {}
    for other in others.values():
        pairs = list(zip(mine, other, strict=True))
        assert mean_difference(pairs, "auroc/edema@0.1", resamples=50, resampled=held) == mean_difference(
            pairs, "auroc/edema@0.1", resamples=50
        )
    assert len(held) == 6
    other = mean_difference([(mine[0], others[0.9][0])], "auroc/edema@0.1", resamples=50, seed=1, resampled=held)
    assert other == mean_difference([(mine[0], others[0.9][0])], "auroc/edema@0.1", resamples=50, seed=1)
    alone = compare(mine[0].path, others[0.9][0].path, ["auroc/edema@0.1"], resamples=50, seed=1)["metrics"]["auroc/edema@0.1"]
    assert alone["difference"] == other.as_dict()


def test_all_shared_metrics_and_the_order_of_rows(tmp_path):
    a, b = write(tmp_path / "a", 0.6, 1), write(tmp_path / "b", 1.2, 2)
    plain = compare(a, b, resamples=100)
    assert set(plain["metrics"]) == {
        f"{metric}@0.1" for kind in ("auroc", "average_precision") for metric in (kind, f"{kind}/edema", f"{kind}/device")
    }
    shuffled = write(tmp_path / "c", 1.2, 2, order=np.random.default_rng(0).permutation(N))
    again = compare(a, shuffled, resamples=100)
    assert again["metrics"] == plain["metrics"]
    swapped = compare(b, a, resamples=100)["metrics"]["auroc@0.1"]["difference"]
    assert swapped["value"] == pytest.approx(-plain["metrics"]["auroc@0.1"]["difference"]["value"])
    assert swapped["p"] == plain["metrics"]["auroc@0.1"]["difference"]["p"]
    same = compare(a, a, resamples=100)["metrics"]["auroc@0.1"]["difference"]
    assert (same["value"], same["p"]) == (0, 1)


def test_values_of_rows_are_compared_where_both_have_one(tmp_path):
    hit, other = np.tile([1.0, 0.0, np.nan, 1.0], N // 4), np.tile([1.0, 1.0, 1.0, 0.0], N // 4)
    a = write(tmp_path / "a", 1, task="retrieve", **{"value/i2t_r1": hit})
    b = write(tmp_path / "b", 1, task="retrieve", **{"value/i2t_r1": other})
    found = compare(a, b, ["i2t_r1@0.1"], resamples=50)["metrics"]["i2t_r1@0.1"]
    assert (found["a"], found["b"]) == pytest.approx((2 / 3, 2 / 3))


def test_segmenters_are_compared_by_finding_and_by_the_mean_of_the_findings(tmp_path):
    random = np.random.default_rng(0)
    dice = {name: np.where(random.random(N) < 0.5, random.random((2, N)), np.nan) for name in ("mass", "edema")}
    runs = [
        write(tmp_path / run, 1, task="segment", **{f"value/dice/{name}": values[k] for name, values in dice.items()})
        for k, run in enumerate("ab")
    ]
    found = compare(*runs, ["dice@0.1", "dice/mass@0.1"], resamples=50)["metrics"]
    assert found["dice/mass@0.1"]["a"] == pytest.approx(np.nanmean(dice["mass"][0][4:]))
    assert found["dice@0.1"]["b"] == pytest.approx(np.mean([np.nanmean(values[1][4:]) for values in dice.values()]))
    alone = [write(tmp_path / f"{run}1", 1, task="segment", **{"value/dice/mass": dice["mass"][k]}) for k, run in enumerate("ab")]
    found = compare(*alone, ["dice@0.1", "dice/mass@0.1"], resamples=50)["metrics"]
    assert found["dice@0.1"] == found["dice/mass@0.1"]


def test_detectors_are_compared_by_average_precision(tmp_path):
    random = np.random.default_rng(0)
    true = [[[*random.uniform(0, 50, 2), 20.0, 20.0]] if i % 2 else [] for i in range(N)]
    names = [["mass" if i % 4 == 1 else "edema"] * len(boxes) for i, boxes in enumerate(true)]
    runs, expected = [], []
    for run, noise in (("a", 2.0), ("b", 8.0)):
        found = [[[b[0] + noise * random.normal(), b[1], *b[2:]] for b in boxes] for boxes in true]
        scores = [random.random(len(boxes)).tolist() for boxes in true]
        columns = {"true/boxes": true, "found/boxes": found, "found/scores": scores, "true/findings": names, "found/findings": names}
        runs.append(write(tmp_path / run, 1, task="detect", **{k: _objects(v) for k, v in columns.items()}))
        labels = [[("mass", "edema").index(name) for name in some] for some in names]
        kept = range(4, N)
        held = [Boxes.of(true[i], labels[i]) for i in kept], [Boxes.of(found[i], labels[i], scores[i]) for i in kept]
        expected.append(coco_map(held[1], held[0], (0.5,)))
    result = compare(*runs, resamples=50)["metrics"]
    assert (result["ap50@0.1"]["a"], result["ap50@0.1"]["b"]) == pytest.approx(tuple(expected))
    assert result["ap50@0.1"]["difference"]["ci95"][0] > 0
    assert result["ap@0.1"]["a"] < result["ap50@0.1"]["a"]


def _objects(values: list) -> np.ndarray:
    held = np.empty(len(values), object)
    held[:] = values
    return held


def test_what_does_not_pair_is_refused_and_named(tmp_path):
    a = write(tmp_path / "a", 1)
    with pytest.raises(SistaError, match=r"1 predictions are only in .* and 0 only in .* such as film 'f7'"):
        compare(a, write(tmp_path / "b", 1, films=[i for i in range(N) if i != 7]))
    with pytest.raises(SistaError, match="different labels of 'edema'"):
        compare(a, write(tmp_path / "c", 1, flip=True))
    with pytest.raises(SistaError, match="a run of classify"):
        compare(a, write(tmp_path / "d", 1, task="retrieve"))
    with pytest.raises(SistaError, match="no metric 'auroc' in both"):
        compare(a, a, ["auroc"])
    with pytest.raises(SistaError, match="no predictions of split 'train'"):
        compare(a, a, split="train")
    with pytest.raises(SistaError, match="missing"):
        compare(a, tmp_path / "none")
    for resamples in (0, -5):
        with pytest.raises(SistaError, match=f"resamples is {resamples}; expected 1 or more"):
            compare(a, a, resamples=resamples)


def test_what_only_one_run_has_is_named_whichever_comes_first(tmp_path):
    a = write(tmp_path / "a", 0.6, 1)
    films = np.arange(N)
    labels = (np.random.default_rng(0).random((N, 2)) < 0.4).astype(float)[:, 0]
    more = {"label/mass": labels, "score/mass": np.random.default_rng(3).random(N)}
    b = write(tmp_path / "b", 1.2, 2, share=np.where(films > -1, 0.1, 0.1), **more)
    c = write(tmp_path / "c", 1.2, 2, share=np.full(N, 1.0))
    for one, other in ((a, b), (b, a)):
        assert compare(one, other, resamples=20)["left_out"] == {
            "*/mass@0.1": f"only {b} scores it; means over labels are of those that both score"
        }
    with pytest.raises(SistaError, match=r"no metric 'auroc/mass@0.1' in both runs: only .*b scores it"):
        compare(a, b, ["auroc/mass@0.1"])
    both = write(tmp_path / "d", 0.9, 4, draws=2, share=np.repeat([0.1, 1.0], N), draw=np.zeros(2 * N, int))
    for one, other in ((a, both), (both, a)):
        assert compare(one, other, resamples=20)["left_out"] == {"*@1.0": f"only {both} has share 1.0"}
    with pytest.raises(SistaError, match=r"only .* has share"):
        compare(a, c)
    with pytest.raises(SistaError, match=r"seed is -1"):
        compare(a, b, seed=-1)


@pytest.mark.parametrize(("films", "tested"), [(14, False), (16, True)])
def test_a_handful_of_subjects_is_no_test(tmp_path, films, tested):
    """Five subjects, then six: with fewer, resampling says p = 0.001 of what chance does every other time."""
    a, b = (write(tmp_path / name, noise, films=range(films)) for name, noise in (("a", 0.01), ("b", 3.0)))
    found = compare(a, b, ["auroc/edema@0.1"], resamples=50)["metrics"]["auroc/edema@0.1"]
    assert found["a"] > found["b"]
    assert (found["difference"]["p"] is not None) == (found["difference"]["ci95"][0] is not None) == tested
    assert found["difference"].get("dropped", 0) < 50  # those with one class alone have no value


def test_losses_on_right_and_wrong_films_have_no_mean(tmp_path):
    """Of findings there is one, which `segment` states; what `controls` keeps are other things."""
    films = np.arange(N)
    ids = {name: [f"{name}{n}" for n in films] for name in ("study_id", "film_id", "subject_id")} | {"split": ["test"] * N}
    for run in "ab":
        values = {f"value/{name}": films + len(run) for name in ("token/right", "token/wrong", "dice/mass", "dice/nodule")}
        write_run(tmp_path / run, {**dict.fromkeys(REQUIRED), "task": "controls", "encoder": {"sha256": run}}, {**ids, **values})
    found = compare(tmp_path / "a", tmp_path / "b", resamples=5)["metrics"]
    assert set(found) == {"token/right", "token/wrong", "dice/mass", "dice/nodule", "dice"}

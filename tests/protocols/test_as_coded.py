"""The published code's steps, spelt out with pandas and scikit-learn, give the same ids as ours."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from sista.errors import SistaError
from sista.protocols import PROTOCOLS, assign, coded_shares
from sista.protocols.assign import cases_of, release_of
from sista.protocols.chexpert import five_times_200, image_ids, rows_as_coded
from tests.protocols import synthetic as made


@pytest.fixture(scope="module")
def chexpert():
    return made.chexpert()


def as_mgca_does(table, valid_rows, each):
    """The steps of mgca/preprocess/chexpert.py on data frames with their index labels."""
    frontal = table.fillna(dict.fromkeys(made.CHEXPERT_COLUMNS, 0))
    frontal = frontal[frontal["Frontal/Lateral"] == "Frontal"]
    looked_at = [name for name in made.CHEXPERT_COLUMNS if name != "No Finding"]
    parts = []
    for finding in made.COMPETITION:
        only = (frontal[finding] == 1) & (frontal[[name for name in looked_at if name != finding]] == 0).all(axis=1)
        parts.append(frontal[only].sample(n=each, random_state=0))
    aside = pd.concat(parts)
    left = table[~table["Path"].isin(aside["Path"])]
    np.random.seed(0)  # noqa: NPY002  as the published code
    positions = np.random.choice(len(left), size=valid_rows, replace=False)  # noqa: NPY002
    return left.drop(positions, errors="ignore"), left.iloc[positions], aside


def test_chexpert_rows_are_those_of_the_published_steps(chexpert):
    table = chexpert.iloc[:40_000]
    where = np.concatenate([np.flatnonzero((table[list(made.CHEXPERT_COLUMNS)] == 1).sum(axis=1) == 1)])
    assert len(where) > 100
    ours = rows_as_coded(table, valid_rows=900, each=20)
    for rows, theirs in zip(ours, as_mgca_does(table, 900, 20), strict=True):
        assert table["Path"].iloc[rows].tolist() == theirs["Path"].tolist()


def test_chexpert_as_coded_leaves_nearly_all_validation_rows_in_train(chexpert):
    train, valid, aside = rows_as_coded(chexpert)
    assert (len(valid), len(aside)) == (5_000, 1_000)
    share = len(np.intersect1d(train, valid)) / len(valid)
    assert share == pytest.approx(0.975, abs=0.006)
    assert len(train) == pytest.approx(217_400, abs=100)
    assert not np.intersect1d(train, aside).size
    split = assign("mgca-chexpert", chexpert, {"valid": made.chexpert_valid()})
    assert split.status == "as coded"
    assert f"{share:.1%}" in split.notes[0]
    in_both = split.in_two()["train and valid"]
    assert in_both / len(split.valid) == pytest.approx(0.975, abs=0.01)
    assert len(split.valid) < 4_500  # frontal images only: the filter comes last
    assert all("lateral" not in one for one in (*split.train, *split.valid, *split.test))
    assert len(split.left_out["chexpert-5x200"]) == 1_000


def test_chexpert_corrected_leaks_no_image_and_no_patient(chexpert):
    split = assign("mgca-chexpert-corrected", chexpert, {"valid": made.chexpert_valid()})
    assert split.sizes == {"train": 186_027, "valid": 5_000, "test": 202}
    assert sum(split.in_two({one: one.split("/")[1] for ids in (split.train, split.valid, split.test) for one in ids}).values()) == 0


def test_chexpert_corrected_leaves_out_the_patients_of_the_test_set():
    table = made.chexpert(3_000, 2_600, 900, alone=3)
    test = made.chexpert(30, 20, 10, "valid", alone=1)
    split = assign("mgca-chexpert-corrected", table, {"valid": test})
    assert len(split.left_out["patient-in-test"]) > 0
    assert sum(split.sizes.values()) + len(split.left_out["patient-in-test"]) == 2_620
    assert split.in_two({one: one.split("/")[1] for ids in (split.train, split.valid, split.test) for one in ids})["train and test"] == 0


def test_chexpert_needs_the_whole_table():
    with pytest.raises(SistaError, match=r"with Atelectasis alone; MGCA draws 200: is this the whole train.csv"):
        five_times_200(made.chexpert(2_000, 1_800, 900, alone=3))


def test_ids_are_the_same_in_both_sizes_of_the_release():
    small = pd.Series(["CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"])
    assert (
        image_ids(small).tolist() == image_ids(small.str.replace("-small", "")).tolist() == ["train/patient00001/study1/view1_frontal.jpg"]
    )


def test_rsna_ids_are_those_of_a_split_data_frame():
    table = made.rsna(2_000, 450, 700)
    grouped = table.groupby("patientId").agg(list).reset_index()
    train, rest = train_test_split(grouped, test_size=0.15 * 2, random_state=0)
    test, valid = train_test_split(rest, test_size=0.5, random_state=0)
    ours = assign("mgca-rsna-classify", table)
    assert [list(ids) for ids in (ours.train, ours.valid, ours.test)] == [part["patientId"].tolist() for part in (train, valid, test)]


def test_siim_rows_straddle_as_coded_and_images_do_not_when_corrected():
    table = made.siim()
    train, rest = train_test_split(table, test_size=0.15 * 2, random_state=0)
    test, valid = train_test_split(rest, test_size=0.5, random_state=0)
    ours = assign("mgca-siim", table)
    assert (set(ours.train), set(ours.valid), set(ours.test)) == tuple(set(part["ImageId"]) for part in (train, valid, test))
    assert "9,067 / 1,944 / 1,943 rows of 12,954" in ours.notes[0]
    straddling = set(ours.train) & (set(ours.valid) | set(ours.test))
    rows = table["ImageId"].value_counts()
    assert 200 < len(straddling) <= 624
    assert (rows[list(straddling)] > 1).all()
    assert sum(assign("mgca-siim-corrected", table).in_two().values()) == 0


def test_siim_reads_either_spelling_of_an_empty_mask():
    kinds = [made.siim(500, 110, 20, 530, empty=empty) for empty in ("-1", " -1")]
    first, second = (assign("mgca-siim-corrected", table) for table in kinds)
    assert first.checksum == second.checksum
    positive = [cases_of(PROTOCOLS["mgca-siim"], release_of(PROTOCOLS["mgca-siim"], table))["Pneumothorax"].sum() for table in kinds]
    assert positive == [110, 110]


def test_covidx_train_is_the_floor_of_four_fifths():
    table = made.covidx({"normal": 70, "pneumonia": 41, "COVID-19": 33}, 60)
    train, valid = train_test_split(table, train_size=0.8, random_state=0)
    ours = assign("mgca-covidx", table)
    assert [list(ours.train), list(ours.valid)] == [("train/" + part["filename"]).tolist() for part in (train, valid)]
    assert "film(s) of RSNA's count as patients of their own" in ours.notes[0]
    assert "test list is empty" in ours.notes[1]


def test_covidx_lines_that_repeat_an_image_are_drawn_as_coded_and_leak_nothing_when_corrected():
    table = made.covidx({"normal": 70, "COVID-19": 40}, 60)
    table = pd.concat([table, table.iloc[:30]], ignore_index=True)
    ours = assign("mgca-covidx", table)
    assert ours.notes[0].startswith("30 line(s) repeat an image")
    assert ours.in_two()["train and valid"] > 0
    assert sum(assign("mgca-covidx-corrected", table).in_two().values()) == 0


def test_covidx_corrected_keeps_a_patient_of_the_nih_whole_where_the_mapping_is_there():
    table, test = (
        made.covidx({"normal": count, "pneumonia": count}, 400, name, k)
        for k, (name, count) in enumerate({"train": 90, "test": 20}.items())
    )
    of_rsna = pd.concat([table, test]).query("`data source` == 'rsna'")["patient id"].unique()
    owner = {one: int(one) // 9 for one in of_rsna}
    mapping = pd.DataFrame({"subset_img_id": of_rsna, "img_id": [f"{owner[one]:08d}_{k:03d}.png" for k, one in enumerate(of_rsna)]})
    lines = pd.concat([table.assign(id="train/" + table["filename"]), test.assign(id="test/" + test["filename"])]).set_index("id")
    by_nih = lines["patient id"].map(owner).where(lines["data source"] == "rsna").astype(str) + lines["data source"]
    by_nih = by_nih.where(lines["data source"] == "rsna", "cohen/" + lines["patient id"]).to_dict()
    without, known = (
        assign("mgca-covidx-corrected", table, {"test": test}),
        assign("mgca-covidx-corrected", table, {"test": test, "mapping": mapping}),
    )
    assert any("count as patients of their own" in note for note in without.notes)
    assert not any("count as patients of their own" in note for note in known.notes)
    assert sum(without.in_two(by_nih).values()) > 0
    assert sum(known.in_two(by_nih).values()) == 0


def test_covidx_label_files_of_two_releases_do_not_mix():
    two, three = made.covidx({"negative": 40, "positive": 20}, 30), made.covidx({"normal": 9, "COVID-19": 9}, 30, "test")
    with pytest.raises(SistaError, match="of different releases"):
        assign("mgca-covidx-reported", two, {"test": three})


def test_benchx_is_stratified_with_seed_42():
    table = made.rsna(2_000, 450, 700)
    target = table.groupby("patientId").first()["Target"]
    x, y = target.index.to_list(), target.to_list()
    train, rest, y_train, y_rest = train_test_split(x, y, test_size=0.3, stratify=y, random_state=42)
    valid, test = train_test_split(rest, test_size=0.5, stratify=y_rest, random_state=42)
    ten, _ = train_test_split(train, test_size=0.90, stratify=y_train, random_state=42)
    ours = assign("benchx-rsna", table)
    assert [list(ids) for ids in (ours.train, ours.valid, ours.test)] == [train, valid, test]
    cases = cases_of(PROTOCOLS["benchx-rsna"], release_of(PROTOCOLS["benchx-rsna"], table))
    assert list(coded_shares(PROTOCOLS["benchx-rsna"], cases, ours.train)["train-10-as-coded"]) == ten


def test_benchx_draws_the_other_part_of_object_cxr():
    chosen, table = PROTOCOLS["benchx-objectcxr"], made.object_cxr(2_000)
    release = release_of(chosen, table, {"dev": made.object_cxr(200, 2_000), "test": made.object_cxr(200, 2_200)})
    shares = coded_shares(chosen, cases_of(chosen, release), assign(chosen, release).train)
    for percent in (1, 10):
        names, has_masks = table["image_name"].tolist(), (~table["annotation"].isnull()).tolist()
        _, theirs = train_test_split(names, test_size=percent / 100, stratify=has_masks, random_state=42)
        assert list(shares[f"train-{percent}-as-coded"]) == [f"train/{name}" for name in theirs]


def test_benchx_siim_orders_positives_by_name_then_negatives():
    train, test = made.siim_png(400, "train"), made.siim_png(60, "test", 500)
    names = sorted(train["new_filename"])
    x = [name for name in names if "train_1" in name] + [name for name in names if "train_0" in name]
    y = [int("train_1" in name) for name in x]
    theirs, valid = train_test_split(x, test_size=len(test), stratify=y, random_state=42)
    ours = assign("benchx-siim", train.sample(frac=1, random_state=1), {"test": test})
    assert [f"{one}.png" for one in ours.train] == theirs
    assert [f"{one}.png" for one in ours.valid] == valid


def test_benchx_covidx_loses_the_first_line_of_each_file():
    files = {name: made.covidx({"negative": 20, "positive": 30}, 40, name, k) for k, name in enumerate(("train", "val", "test"))}
    ours = assign("benchx-covidx", files["train"], {"val": files["val"], "test": files["test"]})
    assert ours.sizes == {"train": 49, "valid": 49, "test": 49}
    assert ours.left_out["read-as-header"] == ("train/train0.png", "val/val0.png", "test/test0.png")

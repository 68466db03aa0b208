"""The real NIH tables: every count of the release, the split sizes on the real patients, and the patients behind RSNA's ids."""

from pathlib import Path

import pandas as pd
import pytest

from sista.protocols import assign, protocol, protocol_named
from sista.protocols.assign import cases_of, release_of
from sista.protocols.check import check_counts

NIH = Path(__file__).parents[2] / "../shared/data/nih"
TABLE = NIH / "tables/Data_Entry_2017_v2020.csv.gz"
pytestmark = pytest.mark.skipif(not TABLE.exists(), reason=f"the NIH table is not at {TABLE}")


@pytest.fixture(scope="module")
def release():
    return release_of(protocol_named("mrm-nih"), TABLE)


@pytest.fixture(scope="module")
def cases(release):
    return cases_of(protocol_named("mrm-nih"), release)


@pytest.mark.parametrize("name", ["nih-official", "kad-nih", "mrm-nih", "benchx-nih"])
def test_every_count_of_the_release_and_of_the_split_holds(name, release, cases):
    chosen = protocol_named(name)
    split = chosen.rule(release, cases, chosen.sizes)
    check = check_counts(chosen, release, cases, split)
    assert split.status == "substitute"
    assert "SUBSTITUTE" in split.notes[0]
    assert check["differs"] == {}
    assert check["not counted"] == []
    assert set(check["patients in two subsets"].values()) == {0}


def test_ids_of_the_substitute_are_pinned_and_the_subsets_alike(cases):
    result = protocol("mrm-nih", TABLE)
    assert result["checksum"].startswith("e3f3ea1e5ac69b62")
    counts = result["check"]["release"]
    assert (counts["films"], counts["patients"], counts["boxes"], counts["no finding"]) == (112_120, 30_805, 984, 60_361)
    split = assign("mrm-nih", TABLE)
    share = {name: cases.loc[list(split[name]), "Infiltration"].mean() for name in ("train", "valid", "test")}
    assert max(share.values()) - min(share.values()) < 0.03


def test_one_nih_patient_owns_several_rsna_ids():
    """What the protocols say of RSNA: its patientId is an image, and patients straddle."""
    films = pd.read_csv(NIH / "images.csv").dropna(subset="rsna_id")
    ids = films.groupby("patient_id")["rsna_id"].nunique()
    assert (len(films), len(ids), int((ids > 1).sum())) == (339, 275, 47)


def test_covidx_by_patient_splits_patients_of_the_nih_without_the_mapping_of_rsna():
    """Its lines of RSNA have an image for a patient. The real ids of 339, in an order by chance, 300 as lines of train and 39 of test."""
    films = pd.read_csv(NIH / "images.csv", dtype=str, keep_default_na=False).query("rsna_id != ''").sample(frac=1, random_state=0)
    kinds = films["rsna_class"].eq("Lung Opacity").map({True: "pneumonia", False: "normal"})
    lines = pd.DataFrame(
        {"patient id": films["rsna_id"], "filename": films["rsna_id"] + ".png", "class": kinds, "data source": "rsna"}
    ).reset_index(drop=True)
    mapping = pd.DataFrame({"subset_img_id": films["rsna_id"], "img_id": films["patient_id"].str.zfill(8) + "_000.png"})
    train, test = lines[:300], lines[300:]
    owner = dict(zip(films["rsna_id"], films["patient_id"], strict=True))
    patients = {f"{part}/{name}.png": patient for part in ("train", "test") for name, patient in owner.items()}
    without = assign("mgca-covidx-corrected", train, {"test": test})
    assert without.in_two(patients) == {"train and valid": 17, "train and test": 9, "valid and test": 4}
    assert sum(assign("mgca-covidx-corrected", train, {"test": test, "mapping": mapping}).in_two(patients).values()) == 0

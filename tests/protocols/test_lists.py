"""Checksums for good, files as they lie on disk, label shares, the authors' own lists."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from sista.errors import SistaError
from sista.protocols import PROTOCOLS, Release, SplitList, assign, coded_shares, label_shares, list_checksum
from sista.protocols.assign import cases_of, release_of
from sista.protocols.draws import sizes_for, whole_patients
from sista.protocols.protocol import Sizes
from sista.protocols.split_list import list_text
from tests.protocols import synthetic as made

PINNED = {
    "mgca-rsna-classify": "0f9906374fe66c6b",
    "mgca-rsna-reported": "639ec36b06b83ca1",
    "mgca-siim": "cdc2d2668cd966ea",
    "mgca-siim-corrected": "fd4108567687a1a3",
    "mgca-objectcxr-coded": "82ed6c65df77def0",
    "mgca-objectcxr-reported": "85c0a38e8e01ce4e",
    "mrm-nih": "304da25dbc7d68a7",
    "benchx-rsna": "4d09fe260fdc8c71",
    "benchx-tbx11k": "27bd074d9f4b9bbe",
    "benchx-vindr": "f5185adcae0cd488",
}
SMALL = {
    "RSNA Pneumonia Detection Challenge 2018": lambda: (made.rsna(400, 90, 130), {}),
    "SIIM-ACR Pneumothorax": lambda: (made.siim(300, 70, 20, 330), {}),
    "Object-CXR": lambda: (made.object_cxr(200), {"dev": made.object_cxr(20, 200)}),
    "NIH ChestX-ray14": lambda: (made.nih(600, 150), {}),
    "TBX11K simplified": lambda: (made.tbx(300), {}),
    "VinDr-CXR 1.0.0": lambda: (made.vindr(200), {"test": made.vindr(40, 300)}),
}


@pytest.mark.parametrize("name", PINNED)
def test_checksums_of_small_tables_are_pinned(name):
    """Id lists are quoted with results: NumPy, pandas and scikit-learn must not change them unnoticed."""
    assert assign(name, *SMALL[PROTOCOLS[name].data.name]()).checksum[:16] == PINNED[name]


def test_a_checksum_is_that_of_the_file_and_of_the_set_of_ids(tmp_path):
    split = SplitList(("b", "a", "b"), ("c",), (), "exact", {"lateral": ("z",)})
    files = split.write(tmp_path)
    assert (tmp_path / "train.txt").read_bytes() == b"a\nb\n"
    assert files["train.txt"] == {"ids": 2, "sha256": hashlib.sha256(b"a\nb\n").hexdigest()}
    assert files["test.txt"]["sha256"] == hashlib.sha256(b"").hexdigest() == split.checksums["test"]
    assert (tmp_path / "left-out-lateral.txt").read_text() == "z\n"
    assert list_checksum(["b", "a"]) == list_checksum(("a", "b", "a")) != list_checksum(["a"])
    assert list_text([]) == ""
    moved = SplitList(("b", "a"), (), ("c",), "exact")
    assert moved.checksum != split.checksum


def test_ids_in_two_subsets_and_patients_in_two_subsets_are_counted():
    split = SplitList(("p1-a", "p2-a"), ("p1-b",), ("p2-a",), "as coded")
    assert split.in_two() == {"train and valid": 0, "train and test": 1, "valid and test": 0}
    assert split.in_two({one: one[:2] for one in ("p1-a", "p1-b", "p2-a")})["train and valid"] == 1


def test_whole_patients_fill_the_sizes_exactly_and_each_stays_whole():
    random = np.random.default_rng(0)
    subjects = [f"p{k}" for k in random.integers(0, 300, 1_000)]
    split = whole_patients(subjects, Sizes(700, 100, 200), "salt")
    assert [split.count(name) for name in ("train", "valid", "test")] == [700, 100, 200]
    assert len({(subject, where) for subject, where in zip(subjects, split, strict=True)}) == len(set(subjects))
    assert whole_patients(subjects, Sizes(700, 100, 200), "other") != split
    assert sizes_for(500, Sizes(700, 100, 200)) == Sizes(350, 50, 100)


@pytest.fixture(scope="module")
def nih():
    protocol = PROTOCOLS["mrm-nih"]
    release = release_of(protocol, made.nih(4_000, 1_500))
    cases = cases_of(protocol, release)
    return cases, assign(protocol, release)


def test_shares_are_nested_whole_patients_and_five_draws(nih):
    cases, split = nih
    lists = label_shares(cases, split.train)
    assert len(lists) == 2 * 5 + 1
    assert lists["train-100"] == split.train
    patients = cases["subject"].to_dict()
    ours = {patients[one] for one in split.train}
    for draw in range(5):
        one, ten = (set(lists[f"train-{percent}-draw-{draw}"]) for percent in (1, 10))
        assert one < ten < set(split.train)
        for share, percent in ((one, 1), (ten, 10)):
            inside = {patients[image] for image in share}
            assert not inside & {patients[image] for image in set(split.train) - share}
            assert len(inside) == round(percent / 100 * len(ours))
    assert len({frozenset(lists[f"train-10-draw-{draw}"]) for draw in range(5)}) == 5


def test_shares_keep_prevalence_and_a_positive_of_every_finding_there_is(nih):
    cases, split = nih
    ten = cases.loc[list(label_shares(cases, split.train, draws=1)["train-10-draw-0"])]
    whole = cases.loc[list(split.train)]
    assert ten["Infiltration"].mean() == pytest.approx(whole["Infiltration"].mean(), abs=0.08)
    assert all(ten[finding].sum() > 0 for finding in ("Hernia", "Mass", "Atelectasis") if whole[finding].sum() > 0)


def test_shares_are_those_that_the_transfer_room_draws(nih):
    from sista.transfer.linear_probe import share_rows

    cases, split = nih
    ours = cases.loc[list(split.train)]
    rows = share_rows(ours["subject"].to_numpy(), ours.drop(columns=["subject", "stratum"]).to_numpy(), 0.1, draw=3).rows
    assert tuple(np.array(split.train, dtype=object)[rows]) == label_shares(cases, split.train)["train-10-draw-3"]


def test_mgca_draws_rows_with_pandas_and_seed_42():
    table = made.rsna(2_000, 450, 700)
    split = assign("mgca-rsna-classify", table)
    protocol = PROTOCOLS["mgca-rsna-classify"]
    shares = coded_shares(protocol, cases_of(protocol, release_of(protocol, table)), split.train)
    frame = pd.DataFrame({"patientId": split.train})
    assert shares["train-1-as-coded"] == tuple(frame.sample(frac=0.01, random_state=42)["patientId"])
    assert coded_shares(PROTOCOLS["mgca-siim"], pd.DataFrame(), ()) == {}


def test_lists_of_the_authors_beside_the_table_are_taken_as_they_are(tmp_path):
    table = made.nih(300, 100)
    path = tmp_path / "Data_Entry_2017.csv"
    table.to_csv(path, index=False)
    names = table["Image Index"].tolist()
    assert assign("nih-official", path).status == "substitute"
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[:200]))
    (tmp_path / "test_list.txt").write_text("".join(f"{name} 0 0 1\n" for name in names[200:290]))
    split = assign("nih-official", path)
    assert (split.status, split.train, split.valid, split.test) == ("exact", tuple(names[:200]), (), tuple(names[200:290]))
    assert split.left_out["in-no-list"] == tuple(names[290:])
    kad = assign("kad-nih", path)
    assert (kad.status, kad.test) == ("substitute", split.test)
    assert set(kad.train) | set(kad.valid) == set(split.train)
    (tmp_path / "test_list.txt").write_text("99999999_000.png\n")
    with pytest.raises(SistaError, match=r"test list beside the table has 1 id\(s\) that the table lacks, such as '99999999_000.png'"):
        assign("nih-official", path)


def test_lists_of_another_protocol_are_not_mistaken_for_the_ones_wanted():
    protocol = PROTOCOLS["nih-official"]
    table = made.nih(112_120, 30_805)
    names = tuple(table["Image Index"])
    release = Release(table, lists={"train": names[:86_524], "test": names[86_524:110_000]})
    with pytest.raises(SistaError, match="do lists of another protocol lie in this folder"):
        assign(protocol, release)

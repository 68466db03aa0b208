"""Every protocol gives the published sizes on a table of the published size, twice the same, and leaks only where it says so."""

import functools

import pytest

from sista.protocols import PROTOCOLS, assign
from sista.protocols.assign import cases_of, release_of
from sista.protocols.check import check_counts
from tests.protocols import synthetic as made

COVIDX_9A = {"COVID-19": 16_490, "normal": 8_085, "pneumonia": 5_555}


def covidx_test():
    return made.covidx({"COVID-19": 200, "normal": 100, "pneumonia": 100}, 300, "test", seed=2)


def rsna_with_mapping():
    table = made.rsna()
    return table, {"mapping": made.rsna_mapping(table)}


TABLES = {
    "CheXpert": lambda: (made.chexpert(), {"valid": made.chexpert_valid()}),
    "RSNA Pneumonia Detection Challenge 2018": rsna_with_mapping,
    "SIIM-ACR Pneumothorax": lambda: (made.siim(), {}),
    "COVIDx 9A": lambda: (made.covidx(COVIDX_9A, 12_000), {"test": covidx_test()}),
    "COVIDx CXR-3": lambda: (made.covidx({"normal": 8_437, "pneumonia": 5_555, "COVID-19": 15_994}, 12_000), {"test": covidx_test()}),
    "Object-CXR": lambda: (made.object_cxr(), {"dev": made.object_cxr(1_000, 8_000), "test": made.object_cxr(1_000, 9_000)}),
    "NIH ChestX-ray14": lambda: (made.nih(112_120, 30_805), {}),
    "SIIM-ACR Pneumothorax, PNG copy of stage 1": lambda: (made.siim_png(10_675, "train"), {"test": made.siim_png(1_372, "test", 20_000)}),
    "COVIDx CXR-4": lambda: (
        made.covidx({"negative": 10_664, "positive": 57_199}, 40_000),
        {
            "val": made.covidx({"negative": 4_241, "positive": 4_232}, 5_000, "val", 2),
            "test": made.covidx({"negative": 4_241, "positive": 4_241}, 5_000, "test", 3),
        },
    ),
    "TBX11K simplified": lambda: (made.tbx(), {}),
    "VinDr-CXR 1.0.0": lambda: (made.vindr(15_000), {"test": made.vindr(3_000, 20_000)}),
}
# as coded, MGCA's CheXpert and SIIM have other sizes than the papers report; COVIDx by patient loses the images of test patients
OTHER_SIZES = {"mgca-chexpert", "mgca-siim", "mgca-covidx-corrected"}
LEAKS = {"mgca-chexpert", "mgca-siim"}


@functools.cache
def table(data_set):
    return TABLES[data_set]()


@functools.cache
def prepared(name):
    protocol = PROTOCOLS[name]
    release = release_of(protocol, *table(protocol.data.name))
    return protocol, release, cases_of(protocol, release), assign(protocol, release)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_sizes_are_the_published_ones_on_a_table_of_the_published_size(name):
    protocol, _, _, split = prepared(name)
    if name in OTHER_SIZES:
        assert split.sizes != protocol.sizes.as_dict()
        assert split.sizes["test"] == pytest.approx(protocol.sizes.test, rel=0.07)
    else:
        assert split.sizes == protocol.sizes.as_dict()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_image_is_in_two_subsets_but_where_the_published_code_leaks(name):
    protocol, release, cases, split = prepared(name)
    check = check_counts(protocol, release, cases, split)
    assert (sum(split.in_two().values()) > 0) == (name in LEAKS) == ("LEAK" in check["verdict"])
    assert not any("leak" in defect for defect in protocol.defects) or name in LEAKS


@pytest.mark.parametrize("name", [name for name, one in PROTOCOLS.items() if one.status in ("corrected", "substitute")])
def test_corrected_and_substitute_splits_keep_patients_whole(name):
    _, _, cases, split = prepared(name)
    if name == "benchx-covidx-corrected":
        pytest.skip("corrects the lost lines only; whether patients straddle is the release's doing and is reported by the check")
    assert sum(split.in_two(cases["subject"].to_dict()).values()) == 0


def test_patients_straddle_in_rsna_as_coded_and_the_check_says_so():
    protocol, release, cases, split = prepared("mgca-rsna-reported")
    assert check_counts(protocol, release, cases, split)["patients in two subsets"]["train and test"] > 1_000


@pytest.mark.parametrize("name", ["mgca-rsna-reported", "mgca-rsna-corrected", "benchx-siim", "mgca-covidx-corrected", "mrm-nih"])
def test_the_same_table_gives_the_same_ids_again(name):
    protocol, _, _, split = prepared(name)
    again = assign(name, *TABLES[protocol.data.name]())
    assert again == split
    assert again.checksum == split.checksum


@pytest.mark.parametrize(
    "name", ["mgca-rsna-reported", "mgca-rsna-corrected", "mgca-siim-corrected", "mgca-objectcxr-reported", "benchx-rsna", "mrm-nih"]
)
def test_where_the_rule_sorts_or_hashes_the_order_of_rows_changes_nothing(name):
    protocol = PROTOCOLS[name]
    main, companions = table(protocol.data.name)
    shuffled = main.sample(frac=1, random_state=3)
    assert assign(name, shuffled, companions).checksum == prepared(name)[3].checksum


def test_a_smaller_table_is_split_in_proportion():
    split = assign("mgca-rsna-reported", made.rsna(1_000, 225, 300))
    assert split.sizes == {"train": 600, "valid": 200, "test": 200}
    assert split.status == "as coded"  # not exact, for these are not the published sizes
    assert "does not give the published sizes" in split.notes[-1]
    assert prepared("mgca-rsna-reported")[3].status == "exact"

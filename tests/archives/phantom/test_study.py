"""The archive: studies made alone, in any order, in any process, at any size, are the same studies."""

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from sista.archives.phantom import Phantom
from sista.archives.phantom.findings import DEVICES
from sista.archives.phantom.phrases import WORDINGS
from sista.archives.phantom.study import tight_box
from sista.errors import SistaError


def fingerprint(study) -> str:
    """A digest of everything in a study."""
    film = study.films[0]
    digest = hashlib.sha256(film.source.tobytes())
    for region in film.regions:
        digest.update(region.mask.tobytes())
        digest.update(repr((region.finding, region.x, region.y, region.width, region.height, region.phrase)).encode())
    rest = (study.study_id, study.subject_id, study.report, sorted(study.labels.items()), sorted(study.true_findings))
    rest += (study.age, study.sex, study.scanner, study.prior_id, sorted(study.change.items()), film.film_id, film.view)
    digest.update(repr(rest).encode())
    return digest.hexdigest()


def test_any_order_and_any_count_give_the_same_studies():
    forward = [fingerprint(Phantom(40, seed=5)[i]) for i in range(40)]
    again = Phantom(1000, seed=5)
    backward = [fingerprint(again[i]) for i in reversed(range(40))]
    assert forward == backward[::-1]
    assert len(set(forward)) == 40


def test_a_pickled_archive_and_another_process_give_the_same_studies():
    phantom = Phantom(300, seed=2, size=96, site="shifted")
    here = [fingerprint(phantom[i]) for i in (217, 3, 50)]
    copy = pickle.loads(pickle.dumps(phantom))
    assert [fingerprint(copy[i]) for i in (217, 3, 50)] == here
    code = f"import sys; sys.path.insert(0, {str(__file__.rsplit('/', 1)[0])!r})\n"
    code += "from test_study import *\np = Phantom(300, seed=2, size=96, site='shifted')\n"
    code += "print(*[fingerprint(p[i]) for i in (3, 217, 50)])"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [there[1], there[0], there[2]] == here


def test_seed_and_site_change_the_patients():
    ids = {Phantom(9, seed=seed, site=site)[4].study_id for seed in (0, 1) for site in ("main", "shifted")}
    texts = {Phantom(9, seed=seed, site=site)[4].report for seed in (0, 1) for site in ("main", "shifted")}
    assert len(ids) == len(texts) == 4


def test_the_fields_of_a_study():
    phantom = Phantom(60, seed=1)
    assert len(phantom) == 60
    assert repr(phantom) == "Phantom(count=60, seed=1, size=128, site='main')"
    assert phantom.describe() == {"archive": "phantom", "revision": 1, "count": 60, "seed": 1, "size": 128, "site": "main"}
    for i in range(60):
        study = phantom[i]
        film = study.films[0]
        assert study.study_id == f"phantom-1-{i:06d}"
        assert film.film_id == study.study_id + "-1"
        assert film.source.shape == (128, 128)
        assert film.source.dtype == np.uint8
        assert film.view in ("PA", "AP")
        assert tuple(study.labels) == phantom.label_names
        assert {name for name, value in study.labels.items() if value == 1.0} == {f.split("/")[0] for f in study.true_findings}
        assert sorted(region.finding for region in film.regions) == sorted(study.true_findings)
        assert study.sex in ("F", "M")
        assert 18 <= study.age <= 100
        assert film.source.std() > 30


def test_masks_lie_in_the_film_under_tight_boxes_and_phrases_in_the_report():
    phantom = Phantom(120, seed=3)
    for i in range(120):
        study = phantom[i]
        for region in study.films[0].regions:
            mask = region.mask
            assert mask.shape == (128, 128)
            assert mask.dtype == bool
            rows, cols = np.nonzero(mask)
            assert (region.x, region.y) == (cols.min(), rows.min())
            assert (region.width, region.height) == (np.ptp(cols) + 1, np.ptp(rows) + 1)
            assert region.phrase
            assert region.phrase in study.report


def test_every_size_shows_the_same_patient():
    sizes = {size: Phantom(40, seed=4, size=size) for size in (64, 128, 512)}
    for i in range(0, 40, 2):
        studies = {size: phantom[i] for size, phantom in sizes.items()}
        middle = studies[128]
        for size, study in studies.items():
            assert study.report == middle.report
            assert study.true_findings == middle.true_findings
            assert (study.scanner, study.age, study.films[0].view) == (middle.scanner, middle.age, middle.films[0].view)
            for one, other in zip(study.films[0].regions, middle.films[0].regions, strict=True):
                box = np.array((one.x, one.y, one.width, one.height)) / size
                assert np.abs(box - np.array((other.x, other.y, other.width, other.height)) / 128).max() < 0.05, (i, size, one.finding)
            blocks = study.films[0].source.reshape(32, size // 32, 32, size // 32).mean(axis=(1, 3))
            same = middle.films[0].source.reshape(32, 4, 32, 4).mean(axis=(1, 3))
            assert np.abs(blocks - same).mean() < 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": 0}, "count=0"),
        ({"count": 3, "size": 32}, "64 to 1024"),
        ({"count": 3, "size": 2048}, "64 to 1024"),
        ({"count": 3, "seed": -1}, "seed=-1"),
        ({"count": 3, "site": "shiftd"}, "did you mean 'shifted'"),
    ],
)
def test_refusals_say_what_was_given_and_what_is_known(arguments, words):
    with pytest.raises(SistaError, match=words):
        Phantom(**arguments)


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_outside_the_archive_is_an_index_error(index):
    with pytest.raises(IndexError):
        Phantom(5)[index]


def test_tight_box_of_nothing_is_empty():
    assert tight_box(np.zeros((8, 8), bool)) == (0, 0, 0, 0)


def test_odd_sizes_work():
    for size in (65, 77, 100, 131, 257):
        for i in range(12):
            assert Phantom(12, seed=8, size=size)[i].films[0].source.shape == (size, size)


def test_the_shifted_site_looks_different():
    main, shifted = ([Phantom(60, site=site)[i] for i in range(60)] for site in ("main", "shifted"))

    def grain(studies):
        belly = np.stack([study.films[0].source for study in studies])[:, 104:120, 30:98].astype(float)
        return np.abs(belly[:, :, 3:] - belly[:, :, :-3]).mean()

    assert grain(shifted) > 1.15 * grain(main)
    assert {study.scanner for study in main}.isdisjoint({study.scanner for study in shifted})
    assert len({study.scanner for study in main}) >= 4


def test_reports_may_leave_findings_out() -> None:
    """Not affirmed, and not denied by name; the film and the truth stay, and without omissions nothing is other than before."""
    plain, silent = Phantom(300, seed=4), Phantom(300, seed=4, omissions=0.5)
    left_out = said = 0
    for index in range(300):
        one, other = plain.report(index), silent.report(index)
        findings = plain.case(index).visit.findings
        assert set(one.phrases) == {f.name for f in findings}
        gone = {f for f in findings if f.name not in other.phrases}
        assert not any(f.label in DEVICES for f in gone)
        left_out += len(gone)
        said += sum(f.label not in DEVICES for f in findings) - len(gone)
        assert all(phrase in other.text for phrase in other.phrases.values())
        for label in {f.label for f in gone}:
            wordings = WORDINGS[label]
            text = other.text.lower()
            denied = [f"no {noun}" in text for noun in wordings.absent]
            assert not any(denied), (label, other.text)
    assert left_out == pytest.approx(said, rel=0.2)
    assert plain.describe() == {k: v for k, v in silent.describe().items() if k != "omissions"}
    study = next(silent[i] for i in range(300) if len(silent.report(i).phrases) < len(silent.case(i).visit.findings))
    assert len(study.true_findings or ()) > len(silent.report(int(study.study_id[-6:])).phrases)
    with pytest.raises(SistaError, match="omissions=1"):
        Phantom(3, omissions=1)

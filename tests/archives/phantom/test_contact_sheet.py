"""The contact sheet is written as asked."""

import numpy as np
import pytest
from PIL import Image

from sista.archives.phantom import Phantom
from sista.archives.phantom.contact_sheet import contact_sheet, main, outline
from sista.errors import SistaError


def test_the_command_writes_a_small_png(tmp_path):
    out = tmp_path / "images" / "sheet.png"
    main(["--out", str(out), "--rows", "2", "--columns", "3", "--size", "96", "--only", "pneumothorax"])
    picture = Image.open(out)
    assert picture.width == 3 * 100
    assert out.stat().st_size < 100_000


def test_plain_sheets_are_grey_where_the_films_are():
    sheet = np.asarray(contact_sheet(Phantom(50, size=64), 1, 2, "cardiomegaly", plain=True))[2:66, 2:66]
    assert (sheet[..., 0] == sheet[..., 1]).all()
    drawn = np.asarray(contact_sheet(Phantom(50, size=64), 1, 2, "cardiomegaly"))[2:66, 2:66]
    assert (drawn[..., 0] != drawn[..., 1]).any()


def test_an_unknown_finding_is_named_with_the_nearest():
    with pytest.raises(SistaError, match="pneumothorax"):
        contact_sheet(Phantom(5), 1, 1, "pneumothorx")


def test_the_outline_of_a_square():
    mask = np.zeros((7, 7), bool)
    mask[2:5, 2:5] = True
    assert outline(mask).sum() == 8

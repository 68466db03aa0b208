"""One core makes at least 300 studies a second at 128 pixels."""

import time

import pytest

from sista.archives.phantom import Phantom


@pytest.mark.slow
def test_three_hundred_studies_a_second():
    phantom = Phantom(2000)
    for i in range(30):
        phantom[i]
    rates = []
    for start in (100, 500, 900):
        begin = time.process_time()
        for i in range(start, start + 300):
            phantom[i]
        rates.append(300 / (time.process_time() - begin))
    assert max(rates) >= 300, rates

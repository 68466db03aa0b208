"""What a protocol says stands beside a run's figures."""

import pytest

from sista.errors import SistaError
from sista.protocols.registry import PROTOCOLS
from sista.transfer.protocol import protocol_facts


class Unlisted:
    """What `protocol_facts` asks of a corpus that was built without lists."""

    path, facts = "corpus", {}


def test_sizes_defects_and_published_scores_stand_beside() -> None:
    name, chosen = next((name, one) for name, one in PROTOCOLS.items() if any(task.scores for task in one.tasks) and one.defects)
    same = protocol_facts(name, chosen.sizes.as_dict(), Unlisted())
    assert same["beside"]["lists"] == {"of": "none: the split is the archive's"}
    assert same["protocol"] == name
    assert same["beside"]["sizes"] == "as published"
    assert same["beside"]["known defects"] == list(chosen.defects)
    task = next(task for task in chosen.tasks if task.scores)
    assert same["beside"]["published"][task.name]["metric"] == task.metric
    assert task.scores[0].shares in same["beside"]["published"][task.name].values()
    other = protocol_facts(name, {**chosen.sizes.as_dict(), "test": 3}, Unlisted())
    assert other["beside"]["sizes"] == "not as published"
    assert other["beside"]["films"]["test"] == {"here": 3, "published": chosen.sizes.test}


def test_without_one_and_with_none_of_them() -> None:
    assert protocol_facts(None, {}, Unlisted()) == {"protocol": None}
    with pytest.raises(SistaError, match="unknown protocol 'mgca-rsn'"):
        protocol_facts("mgca-rsn", {}, Unlisted())

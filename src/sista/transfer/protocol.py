"""What a published protocol says beside a run's own figures: its sizes against those here, its defects, and what was published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sista.protocols.registry import protocol_named


def protocol_facts(name: str | None, films: Mapping[str, int]) -> dict[str, Any]:
    """`protocol` (the name, None without one) and, with one, `beside`: how the split here differs, known defects, and published scores.

    films: how many of each split the run has. The ids themselves are those of `sista protocol NAME --out`, by which a corpus is built
    with `--lists`; a run can count them only. Raises SistaError for an unknown name.
    """
    if name is None:
        return {"protocol": None}
    chosen = protocol_named(name)
    published = chosen.sizes.as_dict()
    return {
        "protocol": chosen.name,
        "beside": {
            "citation": chosen.citation,
            "status": chosen.status,
            "films": {split: {"here": films.get(split, 0), "published": count} for split, count in published.items()},
            "sizes": "as published" if all(films.get(split, 0) == count for split, count in published.items()) else "not as published",
            "known defects": list(chosen.defects),
            "published": {
                task.name: {"metric": task.metric, **{f"{score.method} ({score.source})": score.shares for score in task.scores}}
                for task in chosen.tasks
            },
        },
    }

"""What a published protocol says beside a run's own figures: its sizes against those here, its defects, and what was published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.protocols.registry import protocol_named


def protocol_facts(name: str | None, films: Mapping[str, int], corpus: Corpus) -> dict[str, Any]:
    """`protocol` (the name, None without one) and, with one, `beside`: how the split here differs, known defects, and published scores.

    films: how many of each split the run has. `lists` says by whose lists the corpus was built (`sista build --lists`, with what `sista
    protocol NAME --out` wrote), and has their checksums. Raises SistaError for an unknown name, and for a corpus that was built by the
    lists of another protocol.
    """
    if name is None:
        return {"protocol": None}
    chosen = protocol_named(name)
    published = chosen.sizes.as_dict()
    described = corpus.facts.get("describe", {})
    lists = described.get("lists", {})
    built_by = described.get("protocol") or "nobody named"
    if lists and described.get("protocol") not in (None, chosen.name):
        raise SistaError(f"corpus {corpus.path} was built by the lists of {built_by}; name that protocol, or build with those of {name}")
    return {
        "protocol": chosen.name,
        "beside": {
            "citation": chosen.citation,
            "status": chosen.status,
            "lists": {"of": built_by if lists else "none: the split is the archive's", **lists},
            "films": {split: {"here": films.get(split, 0), "published": count} for split, count in published.items()},
            "sizes": "as published" if all(films.get(split, 0) == count for split, count in published.items()) else "not as published",
            "known defects": list(chosen.defects),
            "published": {
                task.name: {"metric": task.metric, **{f"{score.method} ({score.source})": score.shares for score in task.scores}}
                for task in chosen.tasks
            },
        },
    }

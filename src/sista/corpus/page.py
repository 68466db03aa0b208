"""The page of `sista check`: one HTML file with the verdict, the counts, and films with their reports."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sista.corpus.corpus import Corpus
from sista.corpus.disk import write_bytes
from sista.corpus.reports.words import word_spans
from sista.corpus.study import SPLITS

SAMPLES = 12
SIDE = 160  # pixels of the films on the page
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
h2 { font-size: 1.2rem; margin-top: 2rem } .verdict { font-size: 1.2rem; padding: .6rem 1rem; border-left: 5px solid #1c7c54 }
.notes { border-color: #d98e04 } table { border-collapse: collapse } th, td { text-align: right; padding: .2rem .8rem;
border-bottom: 1px solid #dde4ea } th:first-child, td:first-child { text-align: left }
.films { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem }
.film { display: grid; grid-template-columns: 160px 1fr; gap: .6rem; font-size: .8rem } .film img { width: 160px; background: #000 }
.bar { display: inline-block; height: .8rem; background: #2d7dd2 } small { color: #566573 }
"""


def write_page(file: Path, corpus: Corpus, result: Mapping[str, Any], far: Mapping[str, Sequence[int]]) -> None:
    """Write the page. result: what `check` returns. far: rows of outliers by name.

    Films are small PNGs inside the file, so that it can be mailed; it holds reports and ids, so whom it may go to is for you to know.
    """
    name = html.escape(corpus.path.name)
    verdict = html.escape(result["verdict"])
    parts = [
        f"<h1>{name}</h1><p>{html.escape(repr(corpus))}</p>",
        f"<p class='verdict{' notes' if result['notes'] else ''}'>{verdict}</p>",
        "<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in result["notes"]) + "</ul>" if result["notes"] else "",
        "<h2>Counts</h2>",
        _table(("split", "pairs"), [(split, f"{result['splits'][split]:,}") for split in SPLITS]),
        _table(("view", "films"), [(view, f"{count:,}") for view, count in result["views"].items()]),
        "<h2>Labels</h2>",
        _table(
            ("label", "present", "absent", "uncertain"),
            [(label, *(f"{n:,}" for n in row.values())) for label, row in result["labels"].items()],
        ),
        "<h2>Words per report</h2>",
        _histogram(np.fromiter((len(word_spans(report)) for report in corpus.stored.values("report")), dtype=np.int64)),
        "<h2>Duplicates</h2>",
        _table(
            ("what", "within a split", "across splits", "examples"),
            [
                (kind.replace("_", " "), row["within_a_split"], row["across_splits"], "; ".join(row.get("examples", ())))
                for kind, row in result["duplicates"].items()
            ],
        ),
        "<h2>Left out</h2>",
        _table(("reason", "studies"), [(reason, f"{count:,}") for reason, count in result["left_out"].items()]),
    ]
    for what, rows in far.items():
        if rows:
            parts += [f"<h2>Outliers by {html.escape(what)}</h2>", _films(corpus, rows)]
    drawn = np.random.default_rng(0).permutation(len(corpus))[:SAMPLES]
    parts += ["<h2>Samples</h2>", _films(corpus, sorted(drawn.tolist()))]
    content = f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, content.encode())


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "<p><small>none</small></p>"
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + f"</tr>{body}</table>"


def _histogram(lengths: np.ndarray, bins: int = 12) -> str:
    counts, edges = np.histogram(lengths, bins=min(bins, int(lengths.max(initial=0)) + 1))
    widest = max(1, int(counts.max()))
    rows = "".join(
        f"<tr><td>{int(np.ceil(low))} to {int(high)}</td><td style='text-align:left'>"
        f"<span class=bar style='width:{360 * count / widest:.0f}px'></span> {count:,}</td></tr>"
        for count, low, high in zip(counts.tolist(), edges[:-1], edges[1:], strict=True)
    )
    return f"<table>{rows}</table>"


def _films(corpus: Corpus, rows: Sequence[int]) -> str:
    cards = []
    for row in rows:
        name, split, view, report = (corpus.stored.cell(key, row).as_py() or "" for key in ("film_id", "split", "view", "report"))
        image = f"<img alt='' src='data:image/png;base64,{_png(corpus, row)}'>" if corpus.has_films else "<span></span>"
        cards.append(
            f"<div class=film>{image}<div><b>{html.escape(name)}</b> <small>{html.escape(split)} {html.escape(view)}</small><br>"
            f"{html.escape(report)}</div></div>"
        )
    return f"<div class=films>{''.join(cards)}</div>"


def _png(corpus: Corpus, row: int) -> str:
    image = Image.fromarray(corpus.films([row])[0, 0].numpy())
    image.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    image.save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()

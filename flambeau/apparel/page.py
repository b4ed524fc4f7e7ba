"""The report as one HTML page that needs nothing beside it: style and pictures are inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from flambeau.apparel.scores import ClassScore

STYLE = """
:root { color-scheme: light dark; --ink: #33312e; --paper: #fffdf9; --line: #e6dfd3; --flame: #d9480f; }
@media (prefers-color-scheme: dark) { :root { --ink: #ece7df; --paper: #1d1b19; --line: #3c3833; --flame: #ff922b; } }
body { max-width: 54rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif;
       color: var(--ink); background: var(--paper); }
h1, h2 { line-height: 1.2; } h1 { border-bottom: 3px solid var(--flame); padding-bottom: .4rem; }
.note { border-left: 4px solid var(--flame); padding: .3rem 1rem; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
.cards li { flex: 1 1 9rem; border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; }
.cards b { display: block; font-size: 1.7rem; color: var(--flame); }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; background: white; border-radius: .5rem; }
footer { margin-top: 3rem; font-size: .85rem; opacity: .75; }
"""


def build_page(
    facts: Sequence[tuple[str, str]],
    notes: Sequence[str],
    settings: Sequence[tuple[str, str]],
    scores: Sequence[ClassScore],
    figures: Sequence[tuple[str, str, bytes]],
) -> str:
    """Build the page.

    Args:
        facts: label and value of the large figures at the top.
        notes: sentences to be set off.
        settings: name and value of what the run was made with.
        scores: the rows of the table; left out if empty.
        figures: heading, description and PNG bytes.

    All text is escaped here.
    """
    parts = ["<h1>Apparel classified by Flambeau</h1>"]
    parts += [f'<p class="note">{html.escape(note)}</p>' for note in notes]
    cards = "".join(f"<li><b>{html.escape(value)}</b>{html.escape(label)}</li>" for label, value in facts)
    parts.append(f'<ul class="cards">{cards}</ul>')
    parts += [_figure(*figure) for figure in figures[:1]]
    if scores:
        parts.append(_score_table(scores))
    parts += [_figure(*figure) for figure in figures[1:]]
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in settings)
    parts.append(f"<h2>How it was made</h2><table>{rows}</table>")
    parts.append("<footer>Written by <code>flambeau apparel report</code>.</footer>")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Apparel classified by Flambeau</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _score_table(scores: Sequence[ClassScore]) -> str:
    head = "<tr><th>kind</th><th>precision</th><th>recall</th><th>F1</th><th>pictures</th></tr>"
    rows = "".join(
        f"<tr><td>{html.escape(s.name)}</td><td>{s.precision:.1%}</td><td>{s.recall:.1%}</td><td>{s.f1:.3f}</td>"
        f"<td>{s.pictures}</td></tr>"
        for s in scores
    )
    explained = (
        "<p>Precision: of the pictures called so, how many are. Recall: of those that are, how many are called so. "
        "F1: the harmonic mean of the two.</p>"
    )
    return f"<h2>Kind by kind</h2><table>{head}{rows}</table>{explained}"


def _figure(heading: str, description: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    alt = html.escape(description, quote=True)
    text = f"<h2>{html.escape(heading)}</h2><p>{html.escape(description)}</p>"
    return f'{text}<img alt="{alt}" src="data:image/png;base64,{data}">'

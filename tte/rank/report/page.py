"""The report of a ranking: one page that opens from disk, without network, in light and dark.

Takes a `Ranking`; writes one HTML file. A section that cannot be made says so, and the others stand.
"""

import json
import re
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from tte._atomic import atomic_write
from tte.rank.expected import evidence_of
from tte.rank.judgement.quantities import interval_words
from tte.rank.report.drawing import SCALE, interval_bar, scatter
from tte.rank.report.evidence import evidence, expected_heading
from tte.rank.report.methods import methods_paragraph, references
from tte.rank.report.telling import contact_sheet, heat_map, telling_pictures

__all__ = ["write_report"]

_TITLES = {
    "zero-shot": "Which model should segment these images as it is?",
    "fine-tune": "Which model should be fine-tuned for these images?",
    "masks": "Which tool's masks should be used for these images?",
}
_SHOWN = 50  # lines of what was left out


def write_report(ranking, path):
    """Write the report of a ranking.

    Parameters
    ----------
    ranking : Ranking
    path : path
        The HTML file; written whole or not at all.

    Returns
    -------
    Path
    """
    path = Path(path)
    atomic_write(path, _render(ranking))
    return path


def _render(ranking):
    pictures = telling_pictures(ranking)
    sections = [
        _made(name, title, template, partial(make, ranking, pictures))
        for name, title, template, make in _SECTIONS
        if _wanted(name, ranking, pictures)
    ]
    environment = Environment(
        loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    )  # fmt: skip
    environment.filters["words"] = _words
    shown = {picture.name: picture.for_viewer() for picture in pictures}
    return environment.get_template("report.html").render(
        title=_TITLES[ranking.way],
        verdict=ranking.verdict,
        summary=_summary(ranking),
        lead=ranking.lead,
        warnings=ranking.warnings,
        sections=sections,
        picture_names=set(shown),
        scale=", ".join(f"rgb({r} {g} {b})" for r, g, b in SCALE),
        pictures_json=Markup(json.dumps(shown, sort_keys=True).replace("<", "\\u003c")),
    )


def _template(name):
    return files("tte.rank.report").joinpath("templates", name).read_text(encoding="utf-8")


def _words(text):
    """Escape a sentence and set what stands between backquotes as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _made(name, title, template, make):
    section = {"id": name, "title": title, "template": template, "failed": ""}
    try:
        return {**section, **make()}
    except Exception as error:  # whatever fails in one section must not take the verdict with it
        return {**section, "failed": f"{type(error).__name__}: {error}"}


def _wanted(name, ranking, pictures):
    return {
        "disagreement": bool(pictures),
        "perturbed": any(
            ranking.pictures.perturbed(model, picture.name) is not None
            for picture in pictures
            for model in ranking.table["model"].iloc[[0, -1]]
        ),
        "heat": len(ranking.per_image) > 0 and ranking.lead.name in ranking.per_image,
        "evidence": evidence_of(ranking.lead.name) is not None,
        "speed": bool(ranking.table["seconds_per_image"].notna().any()),
        "cards": bool(ranking.cards),
        "left-out": bool(ranking.left_out),
    }.get(name, True)


def _summary(ranking):
    n_images = ranking.per_image["image"].nunique()
    what = "cases" if ranking.way == "fine-tune" else "images"
    counted = [f"{len(ranking.table)} {'tools' if ranking.way == 'masks' else 'models'}", f"{n_images} {what}"]
    left = {kind: sum(one.kind == kind for one in ranking.left_out) for kind in ("model", "image")}
    counted += [f"{n} {kind}{'s' if n > 1 else ''} left out" for kind, n in left.items() if n]
    return f"{', '.join(counted)}."


# ---- sections


def _ranking(ranking, pictures):
    table = ranking.table
    lows, highs = (table[name].to_numpy(float) for name in ("score_low", "score_high"))
    values = table["score"].to_numpy(float)
    ends = (float(np.nanmin(np.append(lows, values))), float(np.nanmax(np.append(highs, values))))
    measured = [name for name in table if name.startswith("measured_") and not name.endswith(("_low", "_high"))]
    rows = [_row(row, measured, ends) for row in table.to_dict("records")]
    scores = ranking.scores()
    return {
        "caption": (
            f"Models by {ranking.lead.words}. The point is the score, the bar its 95% interval: "
            f"{interval_words(ranking.way)}. Models that share a letter are too close to call."
        ),
        "rows": rows,
        "expected": expected_heading(ranking),
        "measured": [name.removeprefix("measured_").upper() + ", measured" for name in measured],
        "probable": bool(measured),
        "timed": bool(table["seconds_per_image"].notna().any()),
        "scores": list(scores),
        "score_words": list(scores.items()),
        "all_scores": [[row["model"], *(_number(row[name]) for name in scores)] for row in table.to_dict("records")],
        "label_next": list(ranking.label_next),
    }


def _row(row, measured, ends):
    return {
        "rank": row["rank"],
        "model": row["model"],
        "score": _number(row["score"]),
        "bar": Markup(interval_bar(row["score"], row["score_low"], row["score_high"], ends)),
        "interval": _range(row["score_low"], row["score_high"]),
        "ranks": f"{row['rank_low']}–{row['rank_high']}" if row["rank_low"] != row["rank_high"] else row["rank_low"],
        "group": row["group"],
        "expected": _range(row["expected_low"], row["expected_high"]),
        "measured": [f"{_number(row[m])} {_range(row[f'{m}_low'], row[f'{m}_high'], '({} to {})')}" for m in measured],
        "best": f"{row['probability_best']:.0%}",
        "seconds": _number(row["seconds_per_image"], 2),
        "nothing": f"{row['finds_nothing']:.0%}" if np.isfinite(row["finds_nothing"]) else "",
    }


def _number(value, digits=3):
    return "" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _range(low, high, form="{} to {}"):
    return form.format(_number(low, 2), _number(high, 2)) if np.isfinite(low) and np.isfinite(high) else ""


def _disagreement(ranking, pictures):
    groups = {}
    for picture in pictures:
        groups.setdefault(picture.reason, []).append(picture)
    titles = {
        "label": "Label these next",
        "disagree": f"The models disagree most on these{' and those above' * ('label' in groups)}",
        "outlier": f"`{ranking.table['model'].iloc[0]}` differs most from the others on these",
        "other": "Others, evenly through the order of agreement",
    }
    return {
        "groups": [
            {"title": titles[reason], "tiles": [picture.for_tile() for picture in groups[reason]]}
            for reason in titles
            if reason in groups
        ]
    }


def _speed(ranking, pictures):
    known = ranking.table[ranking.table["seconds_per_image"].notna()]
    points = list(zip(known["model"], known["seconds_per_image"], known["score"], strict=True))
    return {
        "caption": f"Score ({ranking.lead.words}) against seconds per image on this machine; "
        "up and to the left is better.",
        "chart": Markup(scatter(points, "seconds per image", ranking.lead.name)),
    }


def _cards(ranking, pictures):
    models = [model for model in ranking.table["model"] if model in ranking.cards]
    return {
        "cards": [
            {"model": m, "facts": [(k, _fact(v)) for k, v in ranking.cards[m].items() if v not in ("", None)]}
            for m in models
        ]
    }


def _fact(value):
    """A value of a card as text; what is nested, as name and value."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(map(str, value)) if len(value) == 2 else ", ".join(map(str, value))
    return str(value)


def _left_out(ranking, pictures):
    return {"left_out": ranking.left_out[:_SHOWN], "more": max(0, len(ranking.left_out) - _SHOWN)}


def _methods(ranking, pictures):
    facts = [(name, ranking.provenance[name]) for name in ("seed", "device") if name in ranking.provenance]
    facts += sorted(ranking.provenance.get("versions", {}).items())
    return {
        "paragraph": methods_paragraph(ranking),
        "references": references(ranking),
        "command": ranking.provenance.get("command", ""),
        "facts": facts,
    }


# Name, title, template, what makes it: the whole report, in its order.
_SECTIONS = (
    ("ranking", "Ranking", "ranking.html", _ranking),
    ("heat", "Image by image", "heat.html", lambda ranking, pictures: heat_map(ranking)),
    ("disagreement", "Look at these images first", "pictures.html", _disagreement),
    ("perturbed", "Clean and perturbed", "contact.html", contact_sheet),
    ("evidence", "How far such a pick was right", "evidence.html", lambda ranking, pictures: evidence(ranking)),
    ("speed", "What it costs", "chart.html", _speed),
    ("cards", "What each model was made for", "cards.html", _cards),
    ("left-out", "Left out", "left_out.html", _left_out),
    ("methods", "Methods", "methods.html", _methods),
)

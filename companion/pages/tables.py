"""The tables of the pages: each takes a DataFrame or a study and returns it styled, as a reader sees it.

Writes nothing; labels and number formats live here.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from companion.analysis import agreement, select
from companion.data import title_of
from companion.pages import texts
from companion.study import display_name
from companion.wings import wing
from companion.zero_shot.scores import EVERY_LEVEL
from tte.estimators import ESTIMATORS

__all__ = [
    "PERTURBATIONS",
    "Folded",
    "agreement_table",
    "coefficient_table",
    "control_table",
    "gain_table",
    "label",
    "models_table",
    "paper_table",
    "plain_table",
    "pooled_table",
    "ranking_table",
    "target_table",
]

PERTURBATIONS = {EVERY_LEVEL: "dropout at every level"}  # whose name in a record is not the one to read
_LOST = "lost by its pick"
_COLUMNS = {
    "kendall": "Kendall τ-b",
    "weighted_kendall": "weighted τ",
    "spearman": "Spearman ρ",
    "pearson": "Pearson r",
}


def plain_table(frame, name, number, decides=None, rows=None):
    """Return a table with its index as the first column, headed by `name`; `number` is a format, or one per column.

    Datasets are called by their titles. Of a wide or long table `decides` names the columns, and `rows` says of each
    row whether it does, that stand on the page; the whole is folded below.
    """
    frame = frame.rename(columns=lambda c: title_of(c) if isinstance(c, str) else f"{c:g}")
    frame = frame.rename_axis(None, axis=1).rename_axis(name).reset_index()
    frame[name] = [title_of(cell) if isinstance(cell, str) else cell for cell in frame[name]]
    formats = number if isinstance(number, dict) else {column: number for column in frame.columns[1:]}
    return _folded(frame, formats, [name, *(decides or frame.columns[1:])], rows)


def _folded(frame, formats, columns, rows=None, short=None):
    """A table of these columns and rows, with all of them folded below it where there are more.

    `short` has formats for the table on the page alone.
    """
    rows = np.ones(len(frame), bool) if rows is None or not any(rows) else np.asarray(rows, bool)
    whole, left = _styled(frame, formats), list(columns)
    if rows.all() and len(left) == frame.shape[1]:
        return whole
    shown = {name: form for name, form in {**formats, **(short or {})}.items() if name in left}
    words = (
        "Every column"
        if rows.all()
        else f"All {len(frame)} rows{'' if len(left) == frame.shape[1] else ', every column'}"
    )
    return Folded(_styled(frame.loc[rows, left], shown), words, whole)


def label(estimate):
    """Return the name of an estimator as a reader knows it, with its variant, strength and layer."""
    if isinstance(estimate, str):
        return ESTIMATORS[estimate].label
    parts = [estimate.how.label or estimate.variant]
    if estimate.perturbation:
        together, kind = np.isnan(estimate.strength), PERTURBATIONS.get(estimate.perturbation, estimate.perturbation)
        parts.append("all input changes" if together else f"{kind} {estimate.strength:g}")
    parts += [estimate.layer] if estimate.how.each_layer else []
    detail = ", ".join(part for part in parts if part)
    return estimate.known.label + (f" ({detail})" if detail else "")


def target_table(study, name, n_images):
    """Return what is known of a dataset."""
    entry = study.dataset_entry(name)
    facts = {
        "dataset": name, "modality": entry.modality, "cases scored and tested": n_images,
        "labels": ", ".join(entry.classes) if entry.kind == "classes" else entry.kind,
        "source": entry.source or entry.landing or "", "licence": entry.licence, "citation": entry.citation,
        "note": entry.note or "",
    }  # fmt: skip
    rows = [(key, str(value)) for key, value in facts.items() if str(value)]
    return _styled(pd.DataFrame(rows, columns=["", " "]))


def models_table(study, kind):
    """Return the models of a study with how they were trained and how well they do on their own data."""
    cards = texts.cards_of(study, kind)
    metric, name = wing(kind).HOME
    rows = [
        {
            "model": display_name(card.model), "trained on": card.source, "cases": card.training.get("n_cases", 0),
            "iterations": card.training.get("iterations", 0), "seed": card.training["seed"],
            name: card.performance.get(metric, np.nan),
        }
        for card in cards
    ]  # fmt: skip
    return _styled(pd.DataFrame(rows), {name: "{:.2f}"})


def ranking_table(table, kind, measure=None):
    """Return the ranking as a reader sees it, with everything and its intervals folded below.

    `measure` is one of the wing's, by default its first.
    """
    known, digits = wing(kind).measure(measure), wing(kind).DIGITS
    score, performance = ESTIMATORS[known.estimator].label, known.label
    rows = pd.DataFrame({
        "rank": table["rank"].astype("string").fillna("–"),
        "model": table["model"].map(display_name) + np.where(table["own"], " (the target's own)", ""),
        score: [_with_interval(r, "score", digits) for r in table.to_dict("records")],
        "undefined": table["n_undefined"],
        performance: [_with_interval(r, "performance", 3) for r in table.to_dict("records")],
        f"rank by {performance}": table["performance_rank"].astype("string").fillna("–"),
    })  # fmt: skip
    if "group" in table:
        rows.insert(3, "mean", table["score_mean"].map(f"{{:.{digits}f}}".format))
        rows.insert(4, "group", table["group"].map(lambda number: chr(64 + number) if number else "–"))
        rows.insert(7, performance.replace("median", "mean"), table["performance_mean"].map("{:.3f}".format))
    flipped = (100 * (1 - table["score"])).map("{:.2f} %".format) if known.estimator == "cte_nhd" else None
    short = pd.DataFrame({
        "rank": rows["rank"], "model": rows["model"],
        **({score: table["score"].map(f"{{:.{digits}f}}".format)} if flipped is None else {"flipped pixels": flipped}),
        performance: table["performance"].map("{:.3f}".format), f"rank by {performance}": rows.iloc[:, -1],
    })  # fmt: skip
    return Folded(_styled(short), "With 95% intervals, means and groups", _styled(rows))


def _with_interval(row, name, digits):
    low, high = row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan)
    return f"{row[name]:.{digits}f}" + (f" ({low:.{digits}f} to {high:.{digits}f})" if np.isfinite(low) else "")


def gain_table(gain):
    """Return `stability.gain_over_random` as a reader sees it."""
    rows = pd.DataFrame({
        **({"task": gain["task"].map(title_of)} if "task" in gain else {}),
        "network": gain["network"],
        "test cases": gain["n_cases"],
        "better": [f"{r.n_better} of {r.n_models}" for r in gain.itertuples()],
        "Dice": gain["pretrained"],
        "untrained": gain["random"],
        "gain": [f"{value:+.3f}" for value in gain["gain"]],
        "95%": [f"{r.low:+.3f} to {r.high:+.3f}" for r in gain.itertuples()],
        "p": gain["p"].map(texts.p_number),
        "gain by seed": [", ".join(f"{value:+.3f}" for value in values) for values in gain["by_seed"]],
    })  # fmt: skip
    decides = [name for name in ("task", "network", "gain", "95%", "p") if name in rows]
    return _folded(rows, {"Dice": "{:.3f}", "untrained": "{:.3f}"}, decides)


def agreement_table(table, coefficients=agreement.COEFFICIENTS, wanted=None, leading=None):
    """Return agreement, one row per estimator and choice of models: the first coefficient, its p and what the pick
    loses; every coefficient with its interval is folded below.

    Parameters
    ----------
    table : DataFrame; rows of `agreement.agreement_on`
    wanted : dict of str → Estimate, or None for every row under its own name
    leading : list of Estimate, optional; the rows that stand on the page, the others being folded too
    """
    rows, short = [], []
    if wanted is None:
        named = [(label(_estimate(row)), row) for row in table.to_dict("records")]
    else:
        named = [(name, row) for name, e in wanted.items() for row in e.rows(table).to_dict("records")]
    for name_of_row, row in named:
        cells = {"estimator": name_of_row, "models": f"{row['n_models']}"}
        first, undefined = coefficients[0], bool(row["undefined"])
        short.append({
            "estimator": name_of_row, _COLUMNS[first]: "undefined" if undefined else f"{row[first] + 0.0:.2f}",
            "p": "–" if undefined else texts.p_number(row[f"{first}_p"]),
            _LOST: "–" if undefined else f"{row['regret']:.3f}",
            "at random": "–" if undefined else f"{row['random_regret']:.3f}",
        })  # fmt: skip
        rows.append({**cells, **{_COLUMNS[name]: _coefficient(row, name) for name in coefficients}})
    words = "Every coefficient, with its 95% interval over images and its p"
    short, few = pd.DataFrame(short), _are_leading([row for _, row in named], leading)
    every = Folded(_styled(short), words, _styled(pd.DataFrame(rows)))
    return every if few.all() else Folded(_styled(short[few]), f"All {len(short)} rows", every)


def _estimate(row):
    return select.Estimate(*(row[key] for key in select.KEY))


def _are_leading(rows, leading):
    """Which rows stand on the page: those that are named and defined, or all of them where there are none."""
    names = {label(estimate) for estimate in leading or ()}
    few = np.array([label(_estimate(row)) in names and not row["undefined"] for row in rows], bool)
    return few if few.any() else ~few


@dataclass(frozen=True)
class Folded:
    """A table, and another one below it that opens at a click."""

    first: object
    words: str
    folded: object

    def to_html(self):
        """Both, as a page has them."""
        return (
            f"{self.first.to_html()}<details class='tte-folded'><summary>{self.words}</summary>"
            f"{self.folded.to_html()}</details>"
        )

    _repr_html_ = to_html


def _coefficient(row, name):
    if row["undefined"]:
        return "undefined"
    interval = f" ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})" if np.isfinite(row[f"{name}_low"]) else ""
    return f"{row[name] + 0.0:.2f}{interval}, {texts.p_text(row[f'{name}_p'])}"


def control_table(frame):
    """Return `pooling.with_control` as a reader sees it."""
    rows = pd.DataFrame({
        "method": frame["method"],
        "weighted τ, mean ± sd": [f"{r.weighted_kendall:.2f} ± {r.sd:.2f}" for r in frame.itertuples()],
        "95% of permuted means": [f"{r.low:.2f} to {r.high:.2f}" for r in frame.itertuples()],
        "Pearson r": frame["pearson"], "Kendall τ-b": frame["kendall"], "p of τ-b": frame["p"],
        "tasks": frame["targets"],
    })  # fmt: skip
    return _styled(rows, {"Pearson r": "{:.2f}", "Kendall τ-b": "{:.2f}", "p of τ-b": texts.p_number})


def pooled_table(pooled, coefficient="Kendall τ-b", leading=None):
    """Return `pooling.pooled` as a reader sees it: a row per estimator, best mean over others first.

    `leading` lists the estimates whose rows stand on the page; the others, and what decides nothing, are folded below.
    """
    keys = list(select.KEY)
    others, everything = (pooled[pooled["models"] == choice].set_index(keys) for choice in ("others", "all"))
    others = others.sort_values("mean", ascending=False, kind="stable")
    everything = everything.reindex(others.index)
    frame = pd.DataFrame(
        {
            "estimator": [label(select.Estimate(*key)) for key in others.index],
            f"{coefficient}, other sources": _spread(others),
            "p": others["p"].to_numpy() if "p" in others else np.nan,
            "smallest to largest": [
                f"{r.low:.2f} to {r.high:.2f}" if r.n_targets else "–" for r in others.itertuples()
            ],
            _LOST: others["regret"].to_numpy(),
            f"{coefficient}, with the target's own": _spread(everything),
            f"{_LOST}, own counted": everything["regret"].to_numpy(),
            "targets": others["n_targets"].to_numpy(),
        }
    )
    few = _are_leading(others.assign(undefined=others["n_targets"].eq(0)).reset_index().to_dict("records"), leading)
    formats = {"p": texts.p_number, _LOST: "{:.3f}", f"{_LOST}, own counted": "{:.3f}"}
    return _folded(frame, formats, [*frame.columns[:3], _LOST], few)


def _spread(rows):
    return [f"{round(row.mean, 2) + 0.0:.2f} ± {row.sd:.2f}" if row.n_targets else "–" for row in rows.itertuples()]


def coefficient_table(frame):
    """Return a table of coefficients, ours or published, headed as a reader knows them."""
    counts = [column for column in ("targets",) if column in frame]
    numbers = frame.select_dtypes("number").columns.difference(counts)
    formats = {**{column: "{:.2f}" for column in numbers}, **{column: "{:.0f}" for column in counts}}
    return _styled(frame.rename(columns=_COLUMNS), {_COLUMNS.get(k, k): f for k, f in formats.items()})


def paper_table(frame):
    """Return a table of `companion.analysis.papers.published` as a reader sees it, what decides on the page."""
    heads = {**_COLUMNS, "range": "smallest to largest τ-b", "regret": _LOST, "random": "at random"}
    numbers = {"p": "{:.2g}", "regret": "{:.3f}", "random": "{:.3f}", "targets": "{:.0f}", "dropout": "{:g}"}
    formats = {heads.get(column, column): number for column, number in numbers.items() if column in frame}
    decides = ("method", "setting", "whose", "dropout", "kendall", "p", "regret", "random")
    columns = [heads.get(column, column) for column in decides if column in frame]
    return _folded(frame.rename(columns=heads), formats, columns, short={"p": texts.p_number})


def _styled(frame, formats=None):
    styler = frame.style.hide(axis="index").format(formats or {}, na_rep="–").set_uuid("x")
    return styler.set_table_attributes('class="tte-table"')

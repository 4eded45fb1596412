"""The result of a ranking: a table, the values behind it, a verdict in words, and the files it is saved as.

Takes what `tte.rank.judgement.table` made; writes `ranking.csv`, `per_image.csv`, `provenance.json` and `report.html`.
"""

import html
import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tte._atomic import atomic_write
from tte.rank.judgement.quantities import Lead, expected_words, in_words, interval_words
from tte.rank.report import write_report
from tte.rank.run.output import opened

__all__ = ["LeftOut", "Ranking"]

TIMES = ("seconds_per_image",)  # of one run on one machine: in the table and the provenance, not in ranking.csv
_MAIN = ("rank", "model", "score", "score_low", "score_high", "rank_low", "rank_high", "group")
_FACTS = (
    *_MAIN, *TIMES, "probability_best", "expected_low", "expected_high", "images", "failed", "finds_nothing"
)  # fmt: skip
_FLOAT = "%.6g"


@dataclass(frozen=True)
class LeftOut:
    """A model, an image, or an image of a model that takes no part; `kind` is one of "model", "image", "cell"."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """Models in the order of the lead score, with everything that was measured on the way.

    Attributes
    ----------
    way : "zero-shot", "fine-tune" or "masks"
    table : DataFrame
        A row per model, best first: `rank`, `model`, `score` (of the lead), `score_low`, `score_high`, `rank_low`,
        `rank_high` (95%, images drawn with replacement, the same for all models; for "fine-tune" a jackknife over the
        labelled cases), `group` (models too close to call share a letter), `probability_best`, `expected_low`,
        `expected_high` (performance, NaN where no evidence allows it), `seconds_per_image`, `images` (with a value),
        `finds_nothing` (share of images), `failed` (images), of measured performance also `…_low` and `…_high`,
        and a column per quantity.
    per_image : DataFrame
        A row per model and image: `model`, `image`, and a column per quantity, NaN where undefined.
    left_out : tuple of LeftOut
        Models, images, and images of a model that took no part, each with its reason.
    warnings : tuple of str
    lead : Lead
        The score that orders, what it measures, why it leads, and the page that supports it.
    verdict : str
        What to do, in words.
    label_next : tuple of str
        Images on which the models that may be the best disagree most; empty where there is nothing to settle.
    probability_best : dict of str to float
        How likely each model is the best, with the labels that there are.
    provenance : dict
        Versions, hashes of models and images, parameters, seed, device, seconds, command; `run` names the run.
    cards : dict of str to dict
        What each model is: group, what it was trained on, licence.
    pictures : object or None
        `image(name)`, `prediction(model, name)` and `perturbed(model, name)`: arrays (H, W) for the report.

    Examples
    --------
    >>> import tte
    >>> ranking = tte.rank_masks({"a": "masks/a", "b": "masks/b", "c": "masks/c"}, "images")  # doctest: +SKIP
    >>> print(ranking.verdict)  # doctest: +SKIP
    Use `b`. `a` and `c` are clearly behind.
    """

    way: str
    table: pd.DataFrame
    per_image: pd.DataFrame
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    lead: Lead
    verdict: str
    label_next: tuple[str, ...]
    probability_best: dict[str, float]
    provenance: dict
    cards: dict = field(default_factory=dict)
    pictures: object | None = None

    def save(self, folder, overwrite=False):
        """Write `ranking.csv`, `per_image.csv`, `provenance.json` and `report.html`.

        Parameters
        ----------
        folder : path
            Made where it is not there.
        overwrite : bool
            Replace the results of another run.

        Returns
        -------
        Path
            The folder. The same run with the same seed gives the same bytes of the two tables; times are in
            `provenance.json` alone.

        Raises
        ------
        ConfigError
            The folder holds another run or other files.
        DataNotFound
            The disk is full.
        """
        folder = Path(folder).expanduser()
        with opened(folder, self.provenance["run"], overwrite):
            kept = self.table.drop(columns=[name for name in TIMES if name in self.table])
            atomic_write(folder / "ranking.csv", kept.to_csv(index=False, float_format=_FLOAT, lineterminator="\n"))
            cells = self.per_image.to_csv(index=False, float_format=_FLOAT, lineterminator="\n")
            atomic_write(folder / "per_image.csv", cells)
            text = json.dumps(self.provenance, indent=1, sort_keys=True, default=str, ensure_ascii=False)
            atomic_write(folder / "provenance.json", text + "\n")
            write_report(self, folder / "report.html")
        return folder

    def __str__(self):
        """The verdict, the table, what was left out: what a terminal shows."""
        lines = [self.verdict, "", *_lines(self._shown()), ""]
        lines.append(f"Ordered by {self.lead.name}: {self.lead.words}. It leads because {self.lead.reason}.")
        lines += self._columns_in_words()
        lines += [f"Warning: {text}" for text in self.warnings]
        if self.label_next:
            lines.append(f"Label these next: {', '.join(self.label_next)}")
        if self.left_out:
            lines += ["", "Left out:", *(f"  {one.kind} {one.name}: {one.reason}" for one in _few(self.left_out))]
        return "\n".join(lines)

    def _repr_html_(self):
        """The same for a notebook."""
        shown = pd.DataFrame(self._shown()[1:], columns=self._shown()[0])
        parts = [f"<p><b>{html.escape(self.verdict)}</b></p>", shown.to_html(index=False, border=0)]
        reason = f"Ordered by {self.lead.name}: {self.lead.words}. It leads because {self.lead.reason}."
        notes = [reason, *self._columns_in_words(), *self.warnings]
        notes += [f"Left out: {one.kind} {one.name}: {one.reason}" for one in _few(self.left_out)]
        if self.label_next:
            notes.append(f"Label these next: {', '.join(self.label_next)}")
        return "\n".join([*parts, *(f"<p>{html.escape(note)}</p>" for note in notes)])

    def _columns_in_words(self):
        words = [f"95%: {interval_words(self.way)}."]
        if self.table["expected_low"].notna().any():
            words.append(f"expected: {expected_words(self.lead)}.")
        if any(name.startswith("measured_") for name in self.table):
            words.append("best: how likely a model is the best one, by its score and the labelled images together.")
        return words

    def _shown(self):
        """Rows of text, the header first: what decides, and the measured performance where there is any."""
        header = ["rank", "model", "score", "95%", "ranks", "group"]
        known = self.table["expected_low"].notna().any()
        extra = [name for name in self.table if name.startswith("measured_") and not name.endswith(("_low", "_high"))]
        timed = self.table["seconds_per_image"].notna().any()
        header += [
            *(["expected"] if known else []),
            *extra,
            *(["best"] if extra else []),
            *(["s/image"] if timed else []),
        ]
        rows = [header]
        for row in self.table.to_dict("records"):
            cells = [str(row["rank"]), row["model"], f"{row['score']:.3f}", _range(row["score_low"], row["score_high"])]
            cells += [f"{row['rank_low']}–{row['rank_high']}", row["group"]]
            cells += [_range(row["expected_low"], row["expected_high"])] if known else []
            cells += [f"{row[name]:.3f} {_range(row[f'{name}_low'], row[f'{name}_high'])}".strip() for name in extra]
            cells += [f"{row['probability_best']:.0%}"] if extra else []
            rows.append(cells + ([f"{row['seconds_per_image']:.2f}"] if timed else []))
        return rows

    def scores(self):
        """Return {quantity: its words} of the columns of the table that are scores, in their order."""
        scores = [name for name in self.table if name not in _FACTS and not name.startswith("measured_")]
        return {name: in_words(name) for name in scores}


def _range(low, high):
    between = "–" if low >= 0 else " … "
    return "" if pd.isna(low) or pd.isna(high) else f"{low:.2f}{between}{high:.2f}"


def _few(left_out, shown=20):
    rest = len(left_out) - shown
    more = (LeftOut("and", f"{rest} more", "see provenance.json"),) if rest > 0 else ()
    return (*left_out[:shown], *more)


def _lines(rows):
    """Columns padded to one width, the name left, the rest right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {1, 5}
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

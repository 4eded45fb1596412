"""The registered questions and their verdicts, by the rules of `book/registered.yml`.

Reads that file and the records of the studies it names; writes nothing.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd

from companion.analysis import bank, over_targets, select
from companion.analysis.claims import holm
from companion.analysis.papers import published
from companion.analysis.recorded import recorded_agreement
from companion.estimate import Estimate
from companion.fine_tune.bank import searched_parts
from companion.fine_tune.reliability import icc
from companion.paths import project_root
from companion.study import open_study
from companion.wings import wings_of
from tte._yaml import read_yaml
from tte.agreement.coefficients import batch_coefficients
from tte.errors import ConfigError, TTEError
from tte.estimators import ESTIMATORS

__all__ = ["Judged", "judged", "registration", "swapped", "verdicts"]

N_SWAPS, LEAST_RELIABLE = 10_000, 0.8
_KEYS = {"question", "study", "measure", "primary", "against", "targets"}


@dataclass(frozen=True)
class Judged:
    """What the records say of one question.

    `targets` on which it is judged; `left_out`, {target: why not}; `differences` of mean τ-b by rival, and `p`, the
    largest of their p, NaN where there is no target; `searched`, {target: tasks that the search for the score used and
    that it has structures of}, of those targets that have any.
    """

    targets: tuple[str, ...]
    left_out: dict
    differences: dict
    p: float
    searched: dict = field(default_factory=dict)


def registration(path=None):
    """Return the content of `book/registered.yml`, checked.

    Raises
    ------
    ConfigError      a question lacks a key, or has an unknown one.
    """
    found = read_yaml(path or project_root() / "book" / "registered.yml")
    for name, question in found["questions"].items():
        missing, odd = (_KEYS - {"targets"}) - set(question), set(question) - _KEYS
        if missing or odd:
            raise ConfigError(f"registered question {name}: missing {sorted(missing)}, unknown {sorted(odd)}")
    return found


def judged(name, content, *, data_root=None, out=None):
    """Return `Judged` of one question of a registration, from the records of its study."""
    question = content["questions"][name]
    study = open_study(question["study"], data_root=data_root, out=out)
    tables, left_out = {}, {}
    for target in _targets(study, question):
        reason = _why_not(study, target, content)
        table = None if reason else _table(study, target, question)
        if table is None or table.isna().any(axis=None):
            left_out[target] = reason or "a score is not defined for every model"
        else:
            tables[target] = table
    differences, ps = {}, []
    for rival in question["against"] if tables else ():
        pairs = {t: table[[question["primary"], rival, "performance"]] for t, table in tables.items()}
        differences[rival], p = swapped(pairs)
        ps.append(p)
    tuned = tables if study.config.fine_tune is not None else ()
    searched = {target: parts for target in tuned if (parts := searched_parts(study, target))}
    return Judged(tuple(tables), left_out, differences, max(ps, default=float("nan")), searched)


def _targets(study, question):
    """Targets on record: those that the question names, or all."""
    recorded = bank.recorded_targets(study) if study.config.bank is not None else select.recorded_targets(study)
    return [target for target in recorded if target in question.get("targets", recorded)]


def _why_not(study, target, content):
    """Why a target judges nothing, or "" where it does."""
    if target in content["looked_at"]:
        return "looked at before"
    copied = _inputs(study, target) & _inputs_looked_at(content)
    if copied:
        return "the images of a set that was looked at before"
    if study.config.fine_tune is not None:
        ranked = select.ranked_models(study, "fine_tune", target)
        rows = select.where(study.records.table("performance", target), metric="dice_mean")
        wide = rows.pivot_table(index="model", columns="seed", values="value").reindex(ranked).dropna(axis=1)
        found = icc(wide.to_numpy())
        return "" if found >= LEAST_RELIABLE else f"the order of its models does not repeat itself: ICC {found:.2f}"
    share = bank.resolvable(_agreement(study, target)).get(target, 0.0)
    if share >= bank.LEAST_RESOLVABLE:
        return ""
    return f"its models cannot be told apart: {share:.0%} of the pairs"


def _inputs(study, target):
    """Hashes of the images of a target in the records of a study."""
    entries = study.records.provenance().items()
    found = {entry["identity"].get("inputs") for cell, entry in entries if cell.startswith(f"{target}/")}
    return found - {None}


def _inputs_looked_at(content):
    """Hashes of the images of every target that was looked at, in the records of the studies that did."""
    found = set()
    for name in ("nuclei", "nuclei-bank", "strangers"):
        study = open_study(name)
        for target in content["looked_at"]:
            found |= _inputs(study, target)
    return found


def _agreement(study, target):
    """Rows of the agreement of one target, by the study's first measure, models of other sources."""
    table = recorded_agreement(study)
    models = "others" if "others" in set(table["models"]) else "all"
    return select.where(table, target=target, models=models, metric=table["metric"].iloc[0])


def _table(study, target, question):
    """Scores by name and performance of the ranked models on one target."""
    wanted = [question["primary"], *question["against"]]
    if study.config.bank is not None:
        table = bank.table_of(study, target)
        return table[[*wanted, question["measure"]]].rename(columns={question["measure"]: "performance"})
    kind = next(iter(wings_of(study)))
    ranked = select.ranked_models(study, kind, target)
    scores = select.where(study.records.table("scores", target), seed=0)
    named = _named(study, kind)
    columns = {name: named[name].rows(scores).set_index("model")["score"] for name in wanted}
    metric = select.metric(kind, question["measure"])[0]
    performance = select.where(study.records.table("performance", target), metric=metric)
    columns["performance"] = performance.groupby("model")["value"].mean()
    return pd.DataFrame(columns).reindex(ranked)


def _named(study, kind):
    """Return {name: Estimate} of the scores that a question may name."""
    if kind == "zero_shot":
        return published.methods(study)
    known = ESTIMATORS["relative_variety"]
    return {**over_targets.table_1(study), known.label: Estimate("relative_variety", known.lead)}


def swapped(tables, *, n_swaps=N_SWAPS, seed=0):
    """Return the mean difference of τ-b between two scores, and its one-sided p over swaps of the models' ranks.

    Parameters
    ----------
    tables : dict of str to DataFrame; by target, indexed by model: the score, its rival, and the performance
    n_swaps : int; random swaps, where all of them are more

    Returns
    -------
    (difference, p) : floats
        p counts the observed order among the random swaps; of all swaps it is exact.

    Examples
    --------
    >>> table = pd.DataFrame({"a": [1, 2, 3], "b": [3, 2, 1], "performance": [0.1, 0.2, 0.3]}, index=list("xyz"))
    >>> swapped({"t": table})
    (2.0, 0.25)
    """
    models = sorted({model for table in tables.values() for model in table.index})
    if 2 ** len(models) <= n_swaps:
        swaps, exact = np.array(list(product([False, True], repeat=len(models)))), True
    else:
        swaps, exact = np.random.default_rng(seed).random((n_swaps, len(models))) < 0.5, False
    total, observed = np.zeros(len(swaps)), 0.0
    for table in tables.values():
        first, second, performance = (table.iloc[:, i].rank().to_numpy() for i in range(3))
        mine = swaps[:, [models.index(model) for model in table.index]]
        there = np.broadcast_to(performance, mine.shape)
        total += _tau(np.where(mine, second, first), there) - _tau(np.where(mine, first, second), there)
        observed += float((_tau(first[None], there[:1]) - _tau(second[None], there[:1]))[0])
    reached = int((total >= observed - 1e-9).sum())
    p = reached / len(swaps) if exact else (reached + 1) / (len(swaps) + 1)
    return observed / len(tables), p


def _tau(scores, performance):
    return np.nan_to_num(batch_coefficients(scores, performance, ("kendall",))["kendall"])  # no order, no agreement


def verdicts(content=None, *, data_root=None, out=None):
    """Return a row per registered question: what it was judged on, the differences, p, and the verdict.

    Returns
    -------
    DataFrame
        Indexed by question: judged (`Judged`, or None where a study has no record), difference (the smallest over the
        rivals), p, corrected, verdict ("succeeded", "failed" or "not yet judged").
    """
    content, rows = content or registration(), {}
    for name in content["questions"]:
        try:
            found = judged(name, content, data_root=data_root, out=out)
        except TTEError:  # nothing is on record
            found = None
        smallest = min(found.differences.values(), default=np.nan) if found else np.nan
        rows[name] = {"judged": found, "difference": smallest, "p": found.p if found else np.nan}
    table = pd.DataFrame(rows).T
    table["corrected"] = holm(table["p"].astype(float))
    table["verdict"] = [_verdict(row, content["level"]) for row in table.to_dict("records")]
    return table


def _verdict(row, level):
    if row["judged"] is None or not row["judged"].targets:
        return "not yet judged"
    return "succeeded" if row["difference"] > 0 and row["corrected"] < level else "failed"

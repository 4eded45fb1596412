"""What the scores of a bank reach of its order, beside what they could, what chance gives and what they cost.

Reads the records of a fine-tuning study with a bank and writes nothing.
"""

import numpy as np
import pandas as pd

from companion.analysis import select
from companion.analysis.claims import holm
from companion.analysis.kendall import kendall
from companion.analysis.order.repeat import dice_of, order_of, untrained_models
from companion.fine_tune.bank import initial_models, models_on
from tte.agreement import expected_regret
from tte.agreement.coefficients import batch_coefficients

__all__ = ["cost_of", "over_targets", "primary", "score_table", "scores_on_whole", "seconds_of"]

N_LISTS = 5000  # of random scores, the same for a model on every target
_MEANS = ("kendall", "kendall_trained", "regret", "random_regret", "regret_trained", "random_trained")


def score_table(study, target, *, seed=0):
    """Return τ-b of every score with the mean Dice of one target, beside what it can reach.

    Returns
    -------
    DataFrame
        estimate, kendall and its two-sided p against random lists (see `over_targets`), share (τ over the ceiling),
        kendall_trained, p_trained and share_trained (the same among trained models), regret, random_regret,
        regret_trained and random_trained (of a pick among trained models); NaN where a model has no score or all have
        the same.
    """
    order, dice = order_of(study, target), dice_of(study, target).mean(axis=1)
    untrained = untrained_models(study, target)
    trained = dice.drop(index=untrained)
    table = select.where(study.records.table("scores", target), seed=seed)
    lists, lists_trained = (_random_taus(study, {target: values})[target] for values in (dice, trained))
    rows = []
    for estimate in select.estimates(table):
        scores = estimate.rows(table).set_index("model")["score"].reindex(dice.index)
        tau, tau_trained = kendall(scores, dice), kendall(scores.drop(index=untrained), trained)
        lost = {
            "regret": _lost(tau, scores, dice), "random_regret": dice.max() - dice.mean(),
            "regret_trained": _lost(tau_trained, scores, trained), "random_trained": trained.max() - trained.mean(),
        }  # fmt: skip
        rows.append({
            "estimate": estimate, "kendall": tau, "p": _two_sided(tau, lists),
            "share": tau / order.ceiling if order.ceiling else np.nan,
            "kendall_trained": tau_trained, "p_trained": _two_sided(tau_trained, lists_trained),
            "share_trained": tau_trained / order.ceiling_trained if order.ceiling_trained else np.nan, **lost,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _lost(tau, scores, dice):
    """What the pick among some models loses; NaN where the scores do not order them."""
    return float("nan") if np.isnan(tau) else expected_regret(scores[dice.index].to_numpy(), dice.to_numpy())


def over_targets(study, tables):
    """Return what every score reaches over some targets.

    The p asks how often a list that gives every model one random number, the same on all targets, has a mean τ as far
    from 0: the targets share models, so that such a list does well or badly on many of them at once.

    Parameters
    ----------
    study : Study
    tables : dict of str to DataFrame; by target, as `score_table` returns it

    Returns
    -------
    DataFrame
        estimate, kendall (mean τ-b), low, high (over targets), p, share (mean τ over the mean ceiling of the targets),
        kendall_trained, p_trained, share_trained, regret, random_regret, regret_trained, random_trained (means),
        targets: on how many the score has a value; where it has none for the models of some target, the means are over
        the others.
    """
    orders = {target: order_of(study, target) for target in tables}
    dice = {target: dice_of(study, target).mean(axis=1) for target in tables}
    trained = {target: values.drop(index=untrained_models(study, target)) for target, values in dice.items()}
    lists, lists_trained, result = _random_taus(study, dice), _random_taus(study, trained), []
    estimates = {_key(e): e for table in tables.values() for e in table["estimate"]}
    for key, estimate in estimates.items():
        found = {t: table[[_key(e) == key for e in table["estimate"]]] for t, table in tables.items()}
        each = pd.concat([rows.dropna(subset="kendall").assign(target=t) for t, rows in found.items()])
        if each.empty:
            continue
        means = {name: each[name].mean() for name in _MEANS}
        for end in ("", "_trained"):
            reachable = np.mean([getattr(orders[target], f"ceiling{end}") for target in each["target"]])
            means[f"share{end}"] = means[f"kendall{end}"] / reachable if reachable else np.nan
        p, p_trained = (
            _two_sided(means[name], np.mean([drawn[t] for t in each["target"]], axis=0))
            for name, drawn in (("kendall", lists), ("kendall_trained", lists_trained))
        )
        span = {"low": each["kendall"].min(), "high": each["kendall"].max()}
        result.append({"estimate": estimate, **means, **span, "p": p, "p_trained": p_trained, "targets": len(each)})
    return pd.DataFrame(result)


def scores_on_whole(study, whole, estimate, *, seed=0):
    """Return, by target, τ-b of a score with the mean Dice in boxes and on whole volumes, of the same fine-tunings.

    Parameters
    ----------
    study : Study; that has the scores
    whole : Study; that measured some of its fine-tunings on whole volumes
    estimate : Estimate
    """
    found = {}
    for target in select.targets(whole, "fine_tune"):
        table = select.where(study.records.table("scores", target), seed=seed)
        scores = estimate.rows(table).set_index("model")["score"]
        both = [dice_of(whole, target, metric).mean(axis=1) for metric in ("dice_mean", "whole_dice_mean")]
        found[target] = tuple(kendall(scores.reindex(dice.index), dice) for dice in both)
    return found


def _key(estimate):
    """What tells two scores of a study apart; its strength is NaN, which equals nothing."""
    return estimate.estimator, estimate.variant, estimate.layer


def primary(study, table):
    """Return the rows of `score_table` or `over_targets` that the configuration names as primary.

    Returns
    -------
    DataFrame
        In the order of the configuration, with p_holm, the p after Holm's correction for their number.
    """
    names = study.part("fine_tune").reliability.primary
    lead = {
        e.estimator: i for i, e in enumerate(table["estimate"]) if e.estimator in names and e.variant == e.known.lead
    }
    found = table.iloc[[lead[name] for name in names if name in lead]].copy()
    found["p_holm"] = holm(found["p"])
    return found


def seconds_of(study, target, *, seed=0):
    """Return {what: median over the models of its processor seconds} of one target; sampling stands by itself."""
    entries = study.records.provenance()
    parts = [entries[f"{target}/{model}/scores{seed}"].get("seconds_of", {}) for model in models_on(study, target)]
    return {name: float(np.median([p[name] for p in parts])) for name in parts[0] if all(name in p for p in parts)}


def cost_of(estimate, seconds):
    """Return the seconds of a score with the sampling that it needs, from `seconds_of`; NaN for what costs none."""
    name = estimate.estimator
    if name not in seconds:
        return float("nan")
    shared = {"rim samples": "sampling of the rim", "short fine-tuning": ""}.get(estimate.known.needs[0], "sampling")
    return seconds[name] + seconds.get(shared, 0.0)


def _random_taus(study, dice):
    """Return {target: τ (N_LISTS,)} of scores drawn for every model once, whatever the target."""
    models = list(initial_models(study))
    drawn = pd.DataFrame(np.random.default_rng(0).random((len(models), N_LISTS)), index=models)
    found = {}
    for target, values in dice.items():
        scores = drawn.loc[values.index].to_numpy().T
        found[target] = batch_coefficients(scores, values.to_numpy()[None], ("kendall",))["kendall"]
    return found


def _two_sided(value, drawn):
    """Share of the drawn values at least as far from 0, the value itself counted among them."""
    if np.isnan(value):
        return float("nan")
    return float((1 + (np.abs(drawn) >= abs(value) - 1e-12).sum()) / (1 + len(drawn)))

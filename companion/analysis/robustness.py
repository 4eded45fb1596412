"""How far an agreement can be trusted: with fewer cases, voxels or models, by another draw, and against pure chance.

Reads the records of a study and writes nothing.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import PermutationMethod, false_discovery_control, kendalltau, wilcoxon

from companion.analysis import select
from companion.fine_tune.bank import has_seen, is_untrained, models_on
from tte.agreement import expected_regret
from tte.agreement.coefficients import batch_coefficients
from tte.errors import UndefinedScore

__all__ = [
    *("N_PERMUTATIONS", "N_SUBSETS"),
    *("agreement_of_parts", "agreement_of_seeds", "agreement_of_subsets", "clear_gains", "collapsed_runs"),
    "defined_pairs",
    *("gain_over_random", "models_needed", "permuted_mean"),
]

_EXACT_RANKS = 50  # test cases; SciPy takes the exact distribution up to here
N_SUBSETS = 100  # banks drawn per task and number of models
N_PERMUTATIONS = 1000  # times that performance is dealt to the models at random


def agreement_of_parts(study, task, estimator="ccfv", *, seed=0):
    """Kendall's τ-b on one task when a score sees only a part of the cases or voxels, or another draw of voxels.

    The performance is that of the whole test set, the models those of other tasks.

    Returns
    -------
    DataFrame
        what ("cases", "voxels" or "draw"), level, repeat, kendall; NaN where a part gives some model no score.
    """
    ranked = select.ranked_models(study, "fine_tune", task)
    table = select.where(study.records.table("sensitivity", task), seed=seed, estimator=estimator)
    performance = _performance(study, "fine_tune", task).reindex(ranked).to_numpy()
    rows = []
    for (what, level, repeat), part in table.groupby(["what", "level", "repeat"], sort=True):
        scores = part.set_index("model")["score"].reindex(ranked).to_numpy()
        found = np.nan if np.isnan(scores).any() else batch_coefficients(scores[None], performance[None])["kendall"][0]
        rows.append({"what": what, "level": level, "repeat": repeat, "kendall": found})
    return pd.DataFrame(rows, columns=["what", "level", "repeat", "kendall"])


def agreement_of_subsets(study, estimate, *, seed=0, n_subsets=N_SUBSETS):
    """Kendall's τ-b and the regret on every task when fewer models are there to choose from.

    Parameters
    ----------
    estimate : companion.analysis.select.Estimate
    n_subsets : int; drawn per task and number of models, or all of them where there are fewer

    Returns
    -------
    DataFrame
        target, n_models, kendall, regret, random_regret: a row per subset.
    """
    rows = []
    for task in select.targets(study, "fine_tune"):
        scores, performance = _pair(study, "fine_tune", task, estimate, seed)
        for size in range(2, len(scores) + 1):
            every = np.array(list(combinations(range(len(scores)), size)))
            chosen = every[np.random.default_rng([len(scores), size]).permutation(len(every))[:n_subsets]]
            kendall = batch_coefficients(scores[chosen], performance[chosen])["kendall"]
            for models, tau in zip(chosen, kendall, strict=True):
                there = performance[models]
                found = {"regret": expected_regret(scores[models], there), "random_regret": there.max() - there.mean()}
                rows.append({"target": task, "n_models": size, "kendall": tau, **found})
    return pd.DataFrame(rows)


def gain_over_random(study, task, *, seed=0):
    """Whether pre-trained models of other tasks fine-tune better than an untrained network of the same kind.

    Per test case, Dice is averaged over seeds and over the pre-trained models, and compared with the untrained network.
    A case on which the Dice of some model is undefined is left out for all of them.

    Returns
    -------
    DataFrame
        Per network: n_models, n_cases (with a Dice of every model), n_better (models with a higher mean Dice),
        pretrained and random (mean Dice), gain, its 95% interval over test cases (low, high), the two-sided p of
        Wilcoxon's signed-rank test over test cases, and by_seed, the gain with each seed of fine-tuning.

    Raises
    ------
    UndefinedScore   no test case has a Dice of every model of a network.
    """
    models, seeds = models_on(study, task), study.part("fine_tune").finetune_seeds
    per_image = select.where(study.records.table("per_image", task), quantity="dice")
    rows = []
    for network in study.part("fine_tune").networks:
        of_network = {
            m: source
            for m, (source, kind, _) in models.items()
            if kind == network and not has_seen(study, source, task)
        }
        values, images = select.image_matrix(per_image, list(of_network), quantity="dice")
        kept = ~np.isnan(values).any(axis=0)
        if not kept.any():
            raise UndefinedScore(f"{task}: no test case has a Dice of every model of {network}, so there is no gain")
        values = values[:, kept]
        untrained = np.array([is_untrained(study, source) for source in of_network.values()])
        trained, random = values[~untrained], values[untrained].mean(axis=0)
        difference = trained.mean(axis=0) - random
        by_seed = [
            float(v[~untrained][:, kept].mean() - v[untrained][:, kept].mean())
            for v in (
                select.image_matrix(per_image, list(of_network), images, quantity="dice", seed=s)[0] for s in seeds
            )
        ]
        draws = np.random.default_rng(seed).integers(len(difference), size=(2000, len(difference)))
        low, high = np.percentile(difference[draws].mean(axis=1), [2.5, 97.5])
        rows.append({
            "network": network, "n_models": len(trained), "n_cases": int(kept.sum()),
            "n_better": int((trained.mean(axis=1) > random.mean()).sum()),
            "pretrained": trained.mean(), "random": random.mean(), "gain": difference.mean(),
            "low": low, "high": high, "p": _signed_rank_p(difference),
            "by_seed": tuple(by_seed),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _signed_rank_p(difference):
    """Wilcoxon's p: of its exact distribution, where two sizes are equal or one is 0 of 10,000 changes of sign."""
    if not difference.any():
        return 1.0
    sizes = np.abs(difference)
    exact = len(sizes) <= _EXACT_RANKS and sizes.all() and len(np.unique(sizes)) == len(sizes)
    method = "exact" if exact else PermutationMethod(n_resamples=10_000, rng=np.random.default_rng(0))
    return float(wilcoxon(difference, method=method).pvalue)


def clear_gains(gain):
    """Return which rows of `gain_over_random` are clear: p < 0.05 after Benjamini-Hochberg, one sign in every seed."""
    one_sign = np.array([len({np.sign(value) for value in values}) == 1 for values in gain["by_seed"]])
    return one_sign & (false_discovery_control(gain["p"]) < 0.05)


def collapsed_runs(study, task, below=0.05):
    """Return the fine-tuning runs of a task that found next to nothing: model, seed and their mean Dice."""
    table = select.where(study.records.table("performance", task), metric="dice_mean")
    return table.loc[table["value"] < below, ["model", "seed", "value"]].reset_index(drop=True)


def agreement_of_seeds(study, task):
    """Return the mean Kendall's τ-b between the Dice of two seeds of fine-tuning, or NaN where there is one seed.

    The order of the models that fine-tuning itself reproduces: no score can be expected to agree better with one seed.
    """
    ranked = select.ranked_models(study, "fine_tune", task)
    table = select.where(study.records.table("performance", task), metric="dice_mean")
    wide = table.pivot(index="seed", columns="model", values="value")[ranked].to_numpy()
    found = [batch_coefficients(a[None], b[None])["kendall"][0] for a, b in combinations(wide, 2)]
    return float(np.mean(found)) if found else float("nan")


def permuted_mean(study, estimate, coefficient="kendall", *, seed=0, n_permutations=N_PERMUTATIONS):
    """Return the 95% range of the mean coefficient over tasks when performance is dealt out at random.

    The control that every mean has to leave: the same scores, the same performance, in an order that means nothing.
    """
    rng, total = np.random.default_rng(seed), np.zeros(n_permutations)
    pairs = defined_pairs(study, "fine_tune", estimate, seed=seed)
    for scores, performance in pairs:
        dealt = rng.permuted(np.tile(performance, (n_permutations, 1)), axis=1)
        total += batch_coefficients(np.broadcast_to(scores, dealt.shape), dealt)[coefficient]
    return tuple(np.percentile(total / len(pairs), [2.5, 97.5]))


def models_needed(tau, level=0.05):
    """Return the smallest number of models with which a Kendall τ of `tau` on one target has a two-sided p < `level`.

    Exact distribution of τ without ties (`scipy.stats.kendalltau`); a τ that M models cannot take is rounded down.

    >>> models_needed(0.5), models_needed(1.0)
    (11, 5)
    """
    return next(n for n in range(2, 1000) if _smallest_p(tau, n) < level)


def _smallest_p(tau, n):
    """p of the largest possible τ of n models that is not above `tau`."""
    pairs = n * (n - 1) // 2
    discordant = int(np.ceil(pairs * (1 - tau) / 2 - 1e-9))
    order, left = [], discordant
    for size in range(n):  # an order with that many inversions: each value overtakes as many earlier ones as it may
        overtaken = min(left, size)
        order.insert(size - overtaken, size)
        left -= overtaken
    return kendalltau(np.arange(n), np.argsort(order)).pvalue


def defined_pairs(study, kind, estimate, *, seed=0, models="others", measure=None):
    """Return [(scores, performance)] of the targets on which every model has a score and not all have the same."""
    pairs = [_pair(study, kind, t, estimate, seed, models, measure) for t in select.targets(study, kind)]
    return [(scores, performance) for scores, performance in pairs if np.ptp(scores) > 0]  # never true for a NaN


def _pair(study, kind, target, estimate, seed, models="others", measure=None):
    """Scores and performance of the ranked models on one target."""
    ranked = select.ranked_models(study, kind, target, models)
    rows = estimate.rows(study.records.table("scores", target), seed=seed)
    scores = rows.set_index("model")["score"].reindex(ranked).to_numpy()
    return scores, _performance(study, kind, target, measure).reindex(ranked).to_numpy()


def _performance(study, kind, target, measure=None):
    name = select.metric(kind, measure)[0]
    table = select.where(study.records.table("performance", target), metric=name)
    return table.groupby("model")["value"].mean()

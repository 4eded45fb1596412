# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # {study}: all targets together
#
# **Does any score tell, from a few labelled cases, which pre-trained model fine-tunes best?**
#
# The question has an answer only where fine-tuning itself puts the models in an order that repeats.
# So the order comes first: every model is fine-tuned on every target with several seeds, and only targets whose order repeats are scored.
# It is that of a short fine-tuning of the decoder: [where everything is trained, or with another architecture](../volumes-full/organs_otherwise.ipynb), the order need not be the same.
# The target pages stand below; [why two seeds decide nothing](../two-seeds/two_seeds.ipynb) tells what went wrong before.

# %% tags=["parameters"]
study = "volumes"  # a study of config/ with a bank, or the path of a YAML file
whole = "volumes-whole"  # some of its fine-tunings, measured on whole volumes; empty for none
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the sampled voxels

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import order, select
from companion.data import title_of
from companion.fine_tune.bank import searched_parts
from companion.fine_tune.evaluate import evaluate
from companion.pages import boxes, claim_texts, order_plots, order_texts, plots, tables, texts
from companion.study import open_page
from companion.worth import registered

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
part = work.part("fine_tune")
names = select.targets(work, "fine_tune")
cells = [
    cell
    for name in names
    for scores, tuned in evaluate(work, name, seed=seed, compare=False).values()
    for cell in (scores, *tuned)
]
orders = order.order_table(work)
scored = [name for name in names if orders.loc[name, "scored"]]
left_out = [name for name in names if name not in scored]
by_target = {name: order.score_table(work, name, seed=seed) for name in scored}
every = order.over_targets(work, by_target)
every["name"] = [tables.label(e) for e in every["estimate"]]
primary = order.primary(work, every).set_index("name")
best = primary.sort_values("kendall", ascending=False).iloc[0]
least = primary.sort_values("regret").iloc[0]
untouched = [name for name in scored if name in part.reliability.untouched]
if untouched:
    anew = order.primary(work, order.over_targets(work, {name: by_target[name] for name in untouched}))
    anew.index = [tables.label(e) for e in anew["estimate"]]
partly = {new: old for new in untouched if (old := searched_parts(work, new))}

# %% tags=["remove-input"]
won = primary[(primary["p_holm"] < 0.05) & (primary["kendall"] > 0)].sort_values("kendall", ascending=False)
ccfv = primary[[e.estimator == "ccfv" for e in primary["estimate"]]].iloc[0]
losing = {least.name: f"{least['regret']:.3f} of Dice by {least.name}, the least of the {len(primary)}"}
for row in (best, ccfv):  # each once, also where it is the one that loses least
    losing.setdefault(row.name, f"{row['regret']:.3f} by {row.name}")
also = "".join(
    f"{name} {row['kendall']:.2f} ({texts.p_text(row['p_holm'])}), "
    for name, row in won.iterrows()
    if name != best.name
)
answer = (
    f"Of the {len(primary)} scores named before the run, {texts.listed(won.index)} {'order' if len(won) > 1 else 'orders'} the models beyond what chance gives."
    if len(won)
    else f"No score of the {len(primary)} that were named before the run orders the models beyond what chance gives, although the models have an order."
)
repeated = (
    f"{len(untouched)} targets, some of them in the study before this one: {', '.join(f'{name} {row.kendall:.2f} ({texts.p_text(row.p_holm)})' for name, row in anew.iterrows())}. "
    + f"{claim_texts.partly_searched(partly)} "
    + claim_texts.outcome(
        registered.verdicts(registered.registration()),
        "relative-variety",
        "relative variety",
        "../registered_tests.ipynb",
    )
    if untouched
    else None
)
display(
    boxes.in_short(
        {
            "Answer": answer,
            "Evidence": f"Over {len(scored)} targets a score without error would reach a mean Kendall τ-b of {orders.loc[scored, 'ceiling'].mean():.2f}. "
            f"{best.name[0].upper() + best.name[1:]} reaches {best['kendall']:.2f}, which is {best['share']:.0%} of it ({texts.p_text(best['p_holm'])} after correction for {len(primary)}), {also}{ccfv.name} {ccfv['kendall']:.2f} ({texts.p_text(ccfv['p_holm'])}). Among the models that were trained at all {best.name} reaches {best['kendall_trained']:.2f} ({texts.p_text(best['p_trained'])}, not corrected) and {ccfv.name} {ccfv['kendall_trained']:.2f} ({texts.p_text(ccfv['p_trained'])}).",
            "On targets that the search for these scores did not use": repeated,
            "Lost by the pick": f"{', '.join(losing.values())}, {best['random_regret']:.3f} by a pick at random. "
            f"Among the models that were trained at all, a pick at random loses {best['random_trained']:.3f}, that of {least.name} {least['regret_trained']:.3f}, that of {ccfv.name} {ccfv['regret_trained']:.3f}.",
            "Caveat": f"{len(scored)} targets of few kinds that share most of their models, one architecture, a short fine-tuning of the decoder, boxes around the organ. "
            + (
                f"{len(left_out)} of {len(names)} targets have no order to predict and are not scored."
                if left_out
                else "Every target has an order that repeats over seeds."
            ),
        }
    )
)

# %% tags=["remove-input"]
texts.still_improving(texts.cards_of(work, "fine_tune"))

# %% [markdown]
# ## Which targets have an order?

# %% tags=["remove-input"]
Markdown(
    f"Every target gets {part.reliability.seeds} seeds of fine-tuning, and {len(part.finetune_seeds)} where the reliability of the mean Dice (ICC, consistency of paired seeds) is below {part.reliability.least:g}; what stays below is reported and not scored.\n"
    f"That rule looks at Dice alone, and the {len(primary)} primary scores stood in the configuration before any score was computed.\n"
    "The ceiling is the τ that the models' true order would reach on average against means of that reliability, 2/π · arcsin √ICC."
)

# %% tags=["remove-input"]
columns = {"n_models": "models", "n_seeds": "seeds", "icc": "ICC", "half": "τ of halves", "ceiling": "ceiling", "icc_trained": "ICC, trained only", "ceiling_trained": "ceiling, trained only", "best": "best Dice", "middle": "middle", "untrained": "untrained", "surface": "same order by surface Dice (τ)"}  # fmt: skip
columns = {key: head for key, head in columns.items() if not orders[key].isna().all()}
formats = dict.fromkeys(columns.values(), "{:.2f}") | {"models": "{:.0f}", "seeds": "{:.0f}"}
shown = orders[list(columns)].rename(columns=columns)
shown.index = [f"{title_of(name)}{'' if orders.loc[name, 'scored'] else ' (not scored)'}" for name in shown.index]
tables.plain_table(shown, "target", formats, ["ICC", "ceiling", "best Dice", "untrained"])

# %% tags=["remove-input"]
if orders["surface"].notna().any():
    display(Markdown(order_texts.surface_order(part.surface, orders["surface"])))

# %% tags=["remove-input"]
if whole:
    beside = open_page(whole, data_root=data_root, out=out, seed=seed)
    on_whole = {title_of(target): found for target, found in order.on_whole_volumes(beside).items()}
    display(Markdown(order_texts.whole_order(on_whole, len(beside.part("fine_tune").finetune_seeds))))
    taus = order.scores_on_whole(work, beside, best["estimate"], seed=seed)
    display(Markdown(order_texts.whole_scores(best.name, {title_of(target): tau for target, tau in taus.items()})))

# %% tags=["remove-input"]
if left_out:
    reasons = "; ".join(f"{title_of(name)} ({orders.loc[name, 'icc']:.2f})" for name in left_out)
    display(
        Markdown(
            f"Reported and not scored, for their reliability (ICC) stays below {part.reliability.least:g}: {reasons}."
        )
    )

# %% [markdown]
# ## What the scores reach
#
# First those that were named before the run, with p after Holm's correction for their number.
# p asks how often a list that gives every model one random number, the same on all targets, has a mean τ as far from 0; such a list is right or wrong on many targets at once, for they share models.

# %% tags=["remove-input"]
heads = {"kendall": "mean τ-b", "low": "lowest", "high": "highest", "p_holm": "p (Holm)", "share": "of the ceiling", "kendall_trained": "τ-b, trained only", "p_trained": "its p", "share_trained": "of their ceiling", "regret": "Dice lost", "regret_trained": "Dice lost, trained only", "targets": "targets"}  # fmt: skip
number = {"mean τ-b": "{:.2f}", "lowest": "{:.2f}", "highest": "{:.2f}", "p (Holm)": texts.p_number, "p": texts.p_number, "of the ceiling": "{:.2f}", "τ-b, trained only": "{:.2f}", "its p": texts.p_number, "of their ceiling": "{:.2f}", "Dice lost": "{:.3f}", "Dice lost, trained only": "{:.3f}", "targets": "{:.0f}"}  # fmt: skip
decides = ["mean τ-b", "p (Holm)", "Dice lost", "Dice lost, trained only"]
tables.plain_table(primary[list(heads)].rename(columns=heads), "primary score", number, decides)

# %% tags=["remove-input"]
if untouched:
    display(
        Markdown(
            f"The primary scores were chosen in a search on some of the targets. "
            f"On the {len(untouched)} that it did not use ({', '.join(title_of(name) for name in untouched)}):"
        ),
        tables.plain_table(anew[list(heads)].rename(columns=heads), "primary score", number, decides),
    )

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-taus", "caption": "Kendall's τ-b of every score with mean Dice after fine-tuning: a dot per target, a bar for the mean. Diamonds at the top are what a score without error would reach on each target. Only targets whose order repeats are shown. Source: [notebook](../../../notebooks/fine_tune_orders.py)."}, "image": {"alt": "Kendall's tau of every score on every scored target, with the ceilings"}}
main = every[[not e.how.ablation for e in every["estimate"]]].sort_values("kendall", ascending=False, kind="stable")
taus = {}
for target, of_target in by_target.items():
    taus[title_of(target)] = of_target.assign(name=[tables.label(e) for e in of_target["estimate"]]).set_index("name")[
        "kendall"
    ]
figure = order_plots.taus_by_score(
    pd.DataFrame(taus).reindex(main["name"]),
    {title_of(t): orders.loc[t, "ceiling"] for t in scored},
    title=f"Highest mean τ: {main.iloc[0]['name']}, {main.iloc[0]['kendall']:.2f}; {ccfv.name}: {ccfv['kendall']:.2f}",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-taus")

# %% [markdown]
# Every score, those that were not named before included; their p is not corrected, so the best of them is a candidate and no result.

# %% tags=["remove-input"]
heads_all = {"p" if key == "p_holm" else key: "p" if key == "p_holm" else value for key, value in heads.items()}
decides = ["p" if name == "p (Holm)" else name for name in decides]
tables.plain_table(main.set_index("name")[list(heads_all)].rename(columns=heads_all), "score", number, decides)

# %% [markdown]
# What CC-FV is made of: one term left out, one layer alone, another distance.

# %% tags=["remove-input"]
ablations = every[[e.how.ablation or (e.estimator == "ccfv" and e.variant == e.known.lead) for e in every["estimate"]]]
tables.plain_table(ablations.set_index("name")[list(heads_all)].rename(columns=heads_all), "CC-FV", number, decides)

# %% [markdown]
# ## Which model fine-tunes best?

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-dice", "caption": "Mean Dice after fine-tuning, over the seeds, of every model on every target; empty where a model has seen the target's labels. Source: [notebook](../../../notebooks/fine_tune_orders.py)."}, "image": {"alt": "Heat map of mean Dice after fine-tuning, models by targets"}}
dice = pd.DataFrame({name: order.dice_of(work, name).mean(axis=1) for name in names})
dice.index = [order.short_name(work, model) for model in dice.index]
dice = dice.loc[dice.rank().mean(axis=1).sort_values(ascending=False).index]
dice.columns = [title_of(name) for name in dice.columns]
leader = dice.rank(pct=True).mean(axis=1).idxmax()
figure = order_plots.dice_map(dice, title=f"Best on average by rank: {leader}")
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-dice")

# %% tags=["remove-input"]
gaps = (orders["middle"] - orders["untrained"]).rename("gap")
behind = [title_of(name) for name in names if gaps[name] < 0]
Markdown(
    f"The middle model ends {gaps.min():.2f} to {gaps.max():.2f} of Dice above the untrained networks"
    " (their mean)"
    + (f"; on {', '.join(behind)} the untrained networks win." if behind else ".")
    + f" Choosing well among the models is worth up to {(orders['best'] - orders['middle']).max():.2f} of Dice against the middle one."
)

# %% [markdown]
# ## What a score costs
#
# Of a score with variants, τ is that of the best of those in the table of every score.
# Processor seconds for one model on the labelled cases, the median over models and targets, with the sampling of features that most scores share.
# A short fine-tuning is one of the scores: what it costs is what the others have to beat.

# %% tags=["remove-input"]
costs = {name: order.seconds_of(work, name, seed=seed) for name in names}
lead = {tables.label(e.estimator): e for e in every["estimate"] if e.variant == e.known.lead}
seconds = pd.DataFrame(
    {label: {name: order.cost_of(e, costs[name]) for name in names} for label, e in lead.items()}
).median()
spent = (
    pd.DataFrame({"seconds": seconds})
    .dropna()
    .join(
        main.assign(label=[tables.label(e.estimator) for e in main["estimate"]])
        .groupby("label")["kendall"]
        .first()
        .rename("mean τ-b")
    )
)
tables.plain_table(spent.sort_values("seconds"), "score", {"seconds": "{:.2f}", "mean τ-b": "{:.2f}"})

# %% tags=["remove-input"]
boxes.what_next(
    f"Your own checkpoints and labelled cases: [`tte rank fine-tune`](../rank_fine_tune.ipynb) computes the scores that read the labels; {order_texts.book_only([e.estimator for e in main['estimate']])}. Here the pick of {least.name} lost least, {least['regret']:.3f} of Dice against {least['random_regret']:.3f} at random.",
    "If you will train everything, and not the decoder alone, look first at [the other ways](../volumes-full/organs_otherwise.ipynb): the order need not be the same.",
    "Keep some labelled cases back to judge by, fine-tune the first two or three models on the rest, and take the best on those kept back: a score narrows the choice and does not make it.",
    "Fine-tune with more than one seed before you believe an order of your own: [two decide nothing](../two-seeds/two_seeds.ipynb).",
)

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/fine_tune_orders.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command trains, runs and scores whatever is not recorded yet; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
texts.provenance(work, cells)

# %% tags=["remove-cell", "nbval-check-output"]
for name, row in orders.iterrows():
    print(f"{name:24s} ICC {row['icc']:.4f}  half {row['half']:.4f}  scored {row['scored']}")
for name, row in primary.iterrows():
    print(f"{name:32s} mean tau {row['kendall']:.4f}  p {row['p_holm']:.4f}  share {row['share']:.4f}")

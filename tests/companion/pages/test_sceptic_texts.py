"""Answers to a sceptic follow their tables, also when a table is turned round."""

import pandas as pd
import pytest

from companion.pages import sceptic_texts


def frame(**columns):
    return pd.DataFrame(columns, index=[f"bank {i}" for i in range(len(next(iter(columns.values()))))])


def test_targets_are_counted_from_the_tables():
    two = sceptic_texts.counted([frame(targets=[6, 2]), frame(targets=[6, 3])])
    which = "those on which the models can be told apart and the leading score is defined"
    assert two == f"Few targets count, {which}: 6 of bank 0, 2 to 3 of bank 1."
    assert sceptic_texts.counted([frame(targets=[1])]).endswith("defined: 1 of bank 0.")


def test_lists():
    one = frame(lost=[0.1, 0.4], by_score=[0.2, 0.1], random=[0.5, 0.5], p=[0.01, 0.5])
    assert sceptic_texts.lists(one).startswith("Yes, in 1 of 2 banks: a list of the models by their mean")
    assert "chance could" not in sceptic_texts.lists(one)
    assert "though on so few targets chance could" in sceptic_texts.lists(one.assign(p=0.5))
    assert sceptic_texts.lists(one.assign(lost=0.1, by_score=0.1)).startswith("Yes, in all 2 banks:")
    assert sceptic_texts.lists(one.assign(lost=0.9)).startswith("No: in all 2 banks the leading score loses less")


def test_ceiling():
    one = frame(halves=[0.8, 0.4], seeds=[float("nan"), 0.5], score=[0.4, 0.4])
    said = sceptic_texts.ceiling(one)
    assert "τ of 0.40 to 0.80, so there was an order to find; the leading score reaches 50% to 100%" in said
    assert said.endswith("training seed alone agree in their order with τ 0.50.")
    assert "in some banks alone" in sceptic_texts.ceiling(one.assign(halves=[0.8, 0.1]))
    assert "training seed" not in sceptic_texts.ceiling(one.assign(seeds=float("nan")))


def test_averaging():
    one = frame(average=[0.1, 0.3], pick=[0.2, 0.1], p=[0.02, 0.5], beats_best=[1, 0], targets=[6, 2])
    assert sceptic_texts.averaging(one) == (
        "In 1 of 2 banks (bank 0) the mean of all probabilities loses less than the pick of the leading score; "
        "it beats the best single model on 1 of 8 targets."
    )
    assert sceptic_texts.averaging(one.assign(beats_best=0)).endswith(
        "it beats the best single model on none of 8 targets."
    )
    assert "nowhere beyond what chance gives" in sceptic_texts.averaging(one.assign(p=0.5))
    assert sceptic_texts.averaging(one.assign(average=0.9)).startswith("No: in none of the banks the mean")


def test_left_out():
    one = frame(all=[0.5, 0.4])
    one[("model", "min")], one[("model", "max")] = [0.3, 0.2], [0.6, 0.5]
    assert sceptic_texts.left_out(one).startswith("Its sign does") and "bank 0: 0.50, from 0.30 to 0.60" in (
        sceptic_texts.left_out(one)
    )
    one[("model", "min")] = [0.3, -0.1]
    assert sceptic_texts.left_out(one).startswith("Not everywhere: without one of them") and "in bank 1 (" in (
        sceptic_texts.left_out(one)
    )


def test_settings():
    one = frame(settings=[7, 50], best=[0.6, 0.3], chance=[0.3, 0.4])
    said = sceptic_texts.settings(one, 3000)
    assert said.startswith("In 1 of 2 studies the best setting is beyond") and "95% of 3,000 draws" in said
    assert sceptic_texts.settings(one.assign(best=0.9), 10).startswith("In all 2 studies the best")
    assert sceptic_texts.settings(one.assign(best=0.1), 10).startswith("In none of 2 studies is the best")


@pytest.mark.parametrize(
    ("held", "word"),
    [
        ([0.8, 0.75], "on average about what they promise"),
        ([0.5, 0.6], "on average less"),
        ([1.0, 1.0], "average more"),
    ],
)
def test_expected(held, word):
    one = frame(expected=[0.5, 0.6], measured=[0.6, 0.6], **{"0.8": held}).rename(columns={"0.8": 0.8})
    said = sceptic_texts.expected(one)
    assert word in said and "off by 0.05 on average and by 0.10 at most" in said
    assert ("only" in said) == (min(held) < 0.8)
    assert "a mean over 2 targets (from " in said and f"{min(held):.0%} on bank " in said
    assert f" to {max(held):.0%})" in said


def test_confident():
    one = frame(wrong=[1, 2], ranked=[10, 20], consensus=["1 of 1", "–"], noise=["0 of 1", "1 of 2"])
    assert sceptic_texts.confident(one) == (
        "In 3 of 30 pairs of a model and a target the model is among the surest third and the worst third there; "
        "put into the lower half: consensus 1 of 1, noise 1 of 3."
    )
    assert sceptic_texts.confident(one.assign(wrong=0)).startswith("There is none")
    assert "(30 pairs of a model and a target)" in sceptic_texts.confident(one.assign(wrong=0))


def test_alike():
    one = frame(**{"F1 and AP50": [0.9, 0.7], "F1 and mAP": [0.9, 0.95]})
    assert sceptic_texts.alike(one).startswith("Some would: F1 and mAP order the models nearly alike")
    assert sceptic_texts.alike(one + 0.2).startswith("Nearly: every pair")
    assert sceptic_texts.alike(one - 0.5).startswith("No: no pair")


def test_surface():
    one = {"a": 0.9, "b": float("nan"), "c": 0.85}
    said = "After fine-tuning, surface Dice orders the models nearly as Dice does (τ 0.85 to 0.90 on 2 organs)."
    assert sceptic_texts.surface(one) == said
    some = sceptic_texts.surface({**one, "ct/OpenKBP/oesophagus": 0.5})
    assert some.endswith("on some organs only: a at τ 0.90, c at τ 0.85; not on Oesophagus at τ 0.50.")
    assert " does not order the models as Dice does (τ 0.10 to 0.50" in sceptic_texts.surface({"a": 0.1, "c": 0.5})
    assert sceptic_texts.surface({"b": float("nan")}) == ""


def test_within_networks():
    one = frame(as_is=[0.1, 0.2], within=[0.3, 0.1], p=[0.5, 0.5])
    assert sceptic_texts.within_networks(one).startswith("It makes no difference that could be told from chance")
    assert "better beyond what chance gives on bank 0 (" in sceptic_texts.within_networks(one.assign(p=[0.01, 0.5]))
    assert sceptic_texts.within_networks(one.assign(p=[0.5, 0.01])).startswith("Ranking within each network makes it")


def test_who_is_ahead_of_its_rivals_is_said_by_how_many():
    rows = pd.DataFrame({"difference": [0.2, 0.3], "p": [0.03, 0.03], "targets": 6}, index=["a", "b"])
    assert sceptic_texts.ahead_of(rows, "it").startswith("It is ahead of each of its 2 rivals beyond chance (paired")
    assert sceptic_texts.ahead_of(rows.assign(p=0.2), "it").startswith("Of its 2 rivals it is ahead of none beyond")
    assert sceptic_texts.ahead_of(rows.assign(difference=[0.2, -0.3]), "it").endswith(", not of b.")

"""How networks respond to dropout: the numbers of the table against direct computation, and the shares of variance."""

import numpy as np
import pandas as pd
import pytest

from companion.analysis import saturation, select
from companion.study import open_study
from tte.errors import UndefinedScore


@pytest.fixture(scope="module")
def nuclei():
    return open_study("nuclei")


def test_responses_pair_score_and_performance(nuclei):
    table = saturation.responses(nuclei)
    scores, part = nuclei.records.table("scores"), nuclei.part("zero_shot")
    models = [m for m in scores["model"].unique() if m.endswith(f"_s{part.seeds[0]}")]
    rates = len(part.dropout.strengths) + len(part.every_level) + (part.inputs is not None)
    assert len(table) == len(models) * len(part.targets) * rates
    row = table.iloc[7]
    keys = {"estimator": "cte_nhd", "target": row.target, "model": row.model, "perturbation": row.perturbation}
    (expected,) = select.where(scores, **keys, strength=row.strength)["score"]
    assert row.score == expected and row.own == (row.source == row.target)
    performance = select.where(nuclei.records.table("performance"), target=row.target, model=row.model)
    assert row.performance == select.where(performance, metric="f1_median")["value"].item()


def test_one_row_per_network_and_strength(nuclei):
    table = saturation.responses(nuclei)
    part, found = nuclei.part("zero_shot"), saturation.by_network(nuclei, table)
    rates = len(part.dropout.strengths) + len(part.every_level) + (part.inputs is not None)
    assert len(found) == len(part.networks) * rates
    first = found.iloc[0]
    rows = table[(table["network"] == first.network) & (table["perturbation"] == first.perturbation)]
    rows = rows[(rows["strength"] == first.strength) & ~rows["own"]]
    assert first["median"] == pytest.approx(rows["score"].median(), rel=1e-12)
    taus = [g["score"].corr(g["performance"], method="kendall") for _, g in rows.groupby("target")]
    assert first.kendall == pytest.approx(np.mean(taus), abs=1e-9) and first.targets == len(part.targets)
    assert (found["interval"] > 0).all() and found["p"].between(0, 1).all()


def test_shares_of_a_sum_and_of_a_product():
    grid = pd.MultiIndex.from_product([range(4), range(5)], names=["model", "target"]).to_frame(index=False)
    grid["own"] = grid["model"].astype(float)
    grid["product"] = (grid["model"] - 1.5) * (grid["target"] - 2.0)
    shares = saturation.variance_shares(grid, ["own", "product"]).set_index("value")
    assert shares.loc["own"].tolist() == pytest.approx([0, 1, 0], abs=1e-12)
    assert shares.loc["product"].tolist() == pytest.approx([0, 0, 1], abs=1e-12)
    with pytest.raises(UndefinedScore, match="flat has the same value"):
        saturation.variance_shares(grid.assign(flat=1.0), ["flat"])

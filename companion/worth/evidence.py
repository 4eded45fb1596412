"""The evidence that `tte rank` ships: scores and performance of every model of the bank studies, from their records.

Reads `results/<study>/` of the studies; writes `tte/rank/evidence.csv`.
"""

import pandas as pd

from companion.analysis.bank import recorded_targets, table_of
from companion.analysis.order import dice_of, order_of
from companion.analysis.select import estimates, targets, where
from companion.paths import project_root
from companion.study import open_study
from tte._atomic import atomic_write
from tte.estimators import ESTIMATORS

__all__ = ["STUDIES", "evidence", "evidence_file", "write_evidence"]

STUDIES = ("strangers", "nuclei-bank")
TUNED = ("volumes", "volumes-full", "volumes-unetr")  # their models are scored before they are fine-tuned
_NAMES = {  # of the scores of a bank study: what `tte rank` calls them
    "consensus, instances": "consensus_instances",
    "consensus, pixels": "consensus_pixels",
    "NHD under noise": "cte_nhd:noise",
    "EI under noise": "cte_ei:noise",
    "V-Rand under noise": "cte_vrand:noise",
    "mean confidence": "mean_confidence",
    "soft Dice confidence": "soft_dice_confidence",
}
# What `tte rank` computes of features at labelled voxels.
_LABELLED = [name for name, known in ESTIMATORS.items() if known.labelled and known.function is not None]


def evidence_file():
    """Return the path of the shipped file."""
    return project_root() / "tte" / "rank" / "evidence.csv"


def evidence(out=None):
    """Return a row per study, recorded target and model; models of a target's own data are left out.

    Parameters
    ----------
    out : path or None; the folder that holds `results/`, None means the project
    """
    frames = []
    for name in STUDIES:
        study = open_study(name, out=out)
        part = study.part("bank")
        for target in recorded_targets(study):
            table = table_of(study, target).rename(columns=_NAMES)
            seen = [int(model in part.seen.get(target, ())) for model in table.index]
            table = table.rename_axis("model").reset_index()
            table.insert(1, "seen", seen)
            table.insert(0, "target", target)
            table.insert(0, "study", name)
            frames.append(table)
    found = pd.concat([*frames, *(table for name in TUNED for table in _tuned(name, out))], ignore_index=True)
    first = ["study", "target", "model", "seen", "ap50", "map", "f1", "f1_tolerant", "dice"]
    return found[[*first, *_NAMES.values(), *_LABELLED]]


def _tuned(name, out):
    """The same of fine-tuned models, on the targets whose order repeats: Dice, and scores in their leading form."""
    study, frames = open_study(name, out=out), []
    for target in targets(study, "fine_tune"):
        if not order_of(study, target).scored:
            continue
        dice = dice_of(study, target).mean(axis=1)
        scores = where(study.records.table("scores", target), seed=0)
        lead = {e.estimator: e for e in estimates(scores) if e.variant == e.known.lead}
        table = {name: lead[name].rows(scores).set_index("model")["score"] for name in _LABELLED if name in lead}
        table = pd.DataFrame({"dice": dice, **{name: values.reindex(dice.index) for name, values in table.items()}})
        table = table.rename_axis("model").reset_index()
        frames.append(table.assign(study=name, target=target, seen=0))
    return frames


def write_evidence(out=None):
    """Write the shipped file anew; returns its path."""
    text = evidence(out).to_csv(index=False, float_format="%.4f", lineterminator="\n")
    atomic_write(evidence_file(), text)
    return evidence_file()

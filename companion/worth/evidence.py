"""The evidence that `tte rank` ships: scores and performance of every model of the bank studies, from their records.

Reads `results/<study>/` of the studies; writes `tte/rank/evidence.csv`.
"""

import pandas as pd

from companion.analysis.bank import recorded_targets, table_of
from companion.paths import project_root
from companion.records import atomic_write
from companion.study import open_study

__all__ = ["STUDIES", "evidence", "evidence_file", "write_evidence"]

STUDIES = ("strangers", "nuclei-bank")
_NAMES = {  # of the scores of a bank study: what `tte rank` calls them
    "consensus, instances": "consensus_instances",
    "consensus, pixels": "consensus_pixels",
    "NHD under noise": "cte_nhd:noise",
    "EI under noise": "cte_ei:noise",
    "V-Rand under noise": "cte_vrand:noise",
    "mean confidence": "mean_confidence",
    "soft Dice confidence": "soft_dice_confidence",
}


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
    found = pd.concat(frames, ignore_index=True)
    first = ["study", "target", "model", "seen", "ap50", "map", "f1", "f1_tolerant"]
    return found[[*first, *_NAMES.values()]]


def write_evidence(out=None):
    """Write the shipped file anew; returns its path."""
    text = evidence(out).to_csv(index=False, float_format="%.4f", lineterminator="\n")
    atomic_write(evidence_file(), text)
    return evidence_file()

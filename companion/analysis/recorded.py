"""The agreement of a whole study, written once: pages read it where it was made from the records as they are.

Reads and writes `results/<study>/agreement.csv`, and `agreement.json` beside it: what it was made from.
"""

import json
from functools import lru_cache

import pandas as pd

from companion.analysis.agreement import MODELS, agreement_on
from companion.analysis.select import kind_of, measures, metric, ranked_models, recorded_targets, where
from companion.config import config_hash
from companion.records import state_of
from companion.wings import wings_of
from tte._atomic import atomic_write
from tte._locks import locked
from tte.errors import DataNotFound

__all__ = ["agreement_of", "recorded_agreement", "write_agreement", "write_table"]

_RULES = 1  # raise it when the code changes what a coefficient or an interval is
_TEXT = ("undefined", "variant", "perturbation", "layer")


def agreement_of(study, target, *, seed=0, models="others", scores=None, measure=None):
    """Return what `agreement_on` does: from `agreement.csv` where its records have not changed since, else computed.

    Recorded values have six digits.
    """
    path = study.records.folder / "agreement.csv"
    if not path.is_file() or _read_source(path) != _source(study, seed):
        return agreement_on(study, target, seed=seed, models=models, scores=scores, measure=measure)
    name = metric(kind_of(study, target), measure)[0]
    found = where(recorded_agreement(study), target=target, metric=name, models=models)
    if scores is None:
        return found.reset_index(drop=True)
    rows = [estimate.rows(found) for estimate in scores]
    if missing := [estimate for estimate, row in zip(scores, rows, strict=True) if row.empty]:
        new = agreement_on(study, target, seed=seed, models=models, scores=missing, measure=measure)
        rows = [estimate.rows(new if row.empty else found) for estimate, row in zip(scores, rows, strict=True)]
    return pd.concat(rows, ignore_index=True)


def recorded_agreement(study):
    """Return `agreement.csv` of a study as `agreement_on` gives it, or raise `DataNotFound`."""
    path = study.records.folder / "agreement.csv"
    if not path.is_file():
        raise DataNotFound(
            f"no agreement.csv in {study.records.folder}: run `python -m companion study {study.name} --step agree`"
        )
    return _read(path, *state_of(path)).copy()


@lru_cache(maxsize=8)  # a page asks for it once per target and choice of models
def _read(path, changed, inode):
    table = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str))  # a column without a word would be read as numbers
    return table.fillna({column: "" for column in _TEXT if column in table})


def write_agreement(study, *, seed=0):
    """Write `agreement.csv`: every recorded target, every estimator and choice of models.

    Raises
    ------
    DataNotFound     no target is recorded, or one of them with a part of its models alone.
    """
    path = study.records.folder / "agreement.csv"
    study.records.settle()
    with locked(path, "agreement.csv"):
        names = recorded_targets(study)
        if not names:
            step = f"run `python -m companion study {study.name}` first"
            raise DataNotFound(f"nothing of study {study.name!r} is recorded in {study.records.folder}: {step}")
        source = _source(study, seed)
        tables = [
            agreement_on(study, name, seed=seed, models=models, measure=measure)
            for name in names
            for measure in measures(study, kind_of(study, name))
            for models in _choices(study, name)
        ]
        path.with_suffix(".json").unlink(missing_ok=True)  # a stop must not leave new rows under an old source
        write_table(path, tables)
        atomic_write(path.with_suffix(".json"), json.dumps(source, indent=1, sort_keys=True) + "\n")


def _choices(study, target):
    """The choices of models that differ on a target: a bank runs no model of the target's own data there."""
    kind = kind_of(study, target)
    ranked = {models: ranked_models(study, kind, target, models) for models in MODELS}
    return [models for models in MODELS if models == "others" or ranked[models] != ranked["others"]]


def write_table(path, tables):
    """Write tables of agreement below each other, numbers with six digits."""
    text = pd.concat(tables, ignore_index=True).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    atomic_write(path, text)


def _source(study, seed):
    """What the agreement of a study follows from: its tables, its settings, the rules."""
    parts = [study.part(kind) for kind in wings_of(study)]
    return {"config": config_hash(*parts), "records": study.records.fingerprint(), "rules": _RULES, "seed": seed}


def _read_source(path):
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # then it is computed

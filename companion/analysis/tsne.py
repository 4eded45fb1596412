"""The sampled features behind a t-SNE, and the t-SNE: the model that CC-FV picks and the untrained network of its kind.

Reads volumes where they are at hand; reads and writes `results/<study>/features/` and `maps/<task>.safetensors.gz`.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from openTSNE import TSNE

from companion.analysis import agreement
from companion.arrays import read_or_make
from companion.config import config_hash
from companion.fine_tune import models as fine_tune
from companion.fine_tune.bank import initial_models, is_untrained
from companion.fine_tune.cases import cases, fingerprint, inputs_of
from companion.fine_tune.scores import sample_cases
from tte.zoo.card import weights_hash

__all__ = ["MAX_POINTS", "PERPLEXITY", "ModelFeatures", "embed", "load_features", "load_maps"]

PERPLEXITY = 30
MAX_POINTS = 1000  # per picture: more hide one another and take long


@dataclass(frozen=True)
class ModelFeatures:
    """Foreground features of one model in one layer, over all labelled cases.

    `values` is (n, D) float32; `classes` and `cases` (n,) say which class and which case a row belongs to.
    """

    model: str
    layer: str
    values: np.ndarray
    classes: np.ndarray
    cases: np.ndarray


def load_features(study, task, *, seed=0, device="cpu", recompute=False):
    """Return [ModelFeatures of the pick, of the untrained network]: from the record, or sampled from the volumes.

    The pick is the model of another task with the highest CC-FV; the layer is the last one that is sampled.

    Raises
    ------
    DataNotFound     there is no record of these models and the volumes are not at hand.
    """
    part = study.part("fine_tune")
    models, layer = _choose(study, task, seed), list(part.sampling.layers)[-1]
    identity = {
        "config": config_hash(part.sampling, *inputs_of(part, task), layer, seed),
        "inputs": fingerprint(study, task, "finetune"),
        "models": models,
        "weights": [weights_hash(study.models, model) for model in models],
    }
    path = study.records.folder / "features" / f"{task.replace('/', '_')}.safetensors.gz"

    def sample():
        pairs, found = cases(study, task, "finetune").pairs, {}
        for model in models:
            sampled = sample_cases(fine_tune.load_initial(study, model, device)[0], pairs, part.sampling, seed=seed)
            found |= {f"{model}/{name}": value for name, value in _stack([case[layer] for case in sampled]).items()}
        return found

    found = read_or_make(path, identity, sample, again=recompute)
    return [_of_model(found, model, layer) for model in models]


def load_maps(study, task, features, *, seed=0, recompute=False):
    """Return [`embed` of each of `features`]: from the record, or made anew; recorded points are float32.

    Parameters
    ----------
    features : sequence of ModelFeatures, as `load_features` returns them
    """
    sums = [hashlib.sha256(np.ascontiguousarray(one.values)).hexdigest() for one in features]
    identity = {"features": sums, "seed": seed, "perplexity": PERPLEXITY, "points": MAX_POINTS}
    path = study.records.folder / "maps" / f"{task.replace('/', '_')}.safetensors.gz"

    def make():
        made = {one.model: embed(one, seed=seed) for one in features}
        return {
            f"{model}/{name}": array
            for model, (points, kept) in made.items()
            for name, array in (("points", points.astype(np.float32)), ("kept", kept.astype(np.int32)))
        }

    found = read_or_make(path, identity, make, again=recompute)
    return [(found[f"{one.model}/points"], found[f"{one.model}/kept"]) for one in features]


def _of_model(found, model, layer):
    values, classes, cases = (found[f"{model}/{part}"] for part in ("values", "classes", "cases"))
    return ModelFeatures(model, layer, values.astype(np.float32), classes, cases)


def _choose(study, task, seed):
    table = agreement.ranking_on(study, task, seed=seed)
    pick = table[table["ranked"] & ~table["own"]].iloc[0]["model"]
    models = initial_models(study)
    same = {m: source for m, (source, network, _) in models.items() if network == models[pick][1]}
    return [pick, next(model for model, source in same.items() if is_untrained(study, source))]


def _stack(sampled):
    """Foreground rows of every case: features as float16, which a picture does not tell from float32."""
    rows = [(case, key, x) for case, classes in enumerate(sampled) for key, x in sorted(classes.items()) if key > 0]
    return {
        "values": np.concatenate([x for *_, x in rows]).astype(np.float16),
        "classes": np.concatenate([np.full(len(x), key, dtype=np.int8) for _, key, x in rows]),
        "cases": np.concatenate([np.full(len(x), case, dtype=np.int8) for case, _, x in rows]),
    }


def embed(features, *, seed=0):
    """Return a two-dimensional t-SNE of some of the rows: (points (m, 2), their row numbers (m,)).

    Exact neighbours, Barnes-Hut forces, started from the principal components, one thread: the same bytes every
    time on one machine.
    """
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(len(features.values))[:MAX_POINTS])
    options = {"neighbors": "exact", "negative_gradient_method": "bh", "initialization": "pca"}
    found = TSNE(perplexity=PERPLEXITY, n_jobs=1, random_state=seed, **options).fit(
        features.values[kept].astype(np.float64)
    )
    return np.asarray(found), kept

"""The schema of a study: what is shipped loads, and every mistake is one clear error that says where it is."""

import pytest
import yaml

from companion.config import (
    FineTune,
    Normalisation,
    StudyConfig,
    ZeroShot,
    config_hash,
    load_config,
    study_names,
)
from companion.data import catalogue
from companion.study import open_study, study_of
from companion.wings import wing
from tte.errors import ConfigError
from tte.zoo.card import read_card


@pytest.fixture
def load(tmp_path):
    def write_and_load(config):
        path = tmp_path / "given.yml"
        path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
        return load_config(path)

    return write_and_load


def at(config, path):
    for key in path:
        config = config[key]
    return config


@pytest.mark.parametrize("name", study_names())
def test_every_shipped_study_loads_and_lists_datasets_of_the_catalogue(name):
    study = load_config(name)
    assert study.name == name and study.title
    if study.studies:
        assert set(study.studies) <= set(study_names()) - {name}
        return
    if study.discover:
        assert study.like in study_names() and not (study.bank or study.zero_shot).targets
        return
    listed = {*study.zero_shot.sources, *study.zero_shot.targets} if study.zero_shot else set()
    listed |= set(study.fine_tune.tasks) if study.fine_tune else set()
    listed |= set(study.bank.targets) if study.bank else set()
    assert listed and listed <= set(catalogue())
    assert study.phantom == all(catalogue()[dataset].phantom for dataset in listed)


def test_the_three_studies_are_shipped():
    assert {"nuclei", "volumes", "phantom"} <= set(study_names())


def test_values_arrive_as_written(load, config):
    study = load(config)
    assert study.zero_shot.dropout.strengths == (0.2, 0.5) and study.zero_shot.dropout.headline == 0.5
    assert study.fine_tune.sampling.layers == {"decoder2": 20, "out": 40}  # the order counts
    assert study.fine_tune.tasks["phantom/organ-kidney"].normalisation.window == (-160, 240)


UNKNOWN = [
    ((), "titel"),
    (("zero_shot",), "target"),
    (("zero_shot", "networks", "unet"), "argument"),
    (("zero_shot", "normalisation"), "percentile"),
    (("zero_shot", "training"), "iteration"),
    (("zero_shot", "training", "augmentation"), "nois"),
    (("zero_shot", "dropout"), "strength"),
    (("fine_tune",), "seed"),
    (("fine_tune", "tasks", "phantom/organ-kidney"), "patient"),
    (("fine_tune", "tasks", "phantom/organ-kidney", "normalisation"), "windows"),
    (("fine_tune", "networks", "unet"), "heads"),
    (("fine_tune", "split"), "tests"),
    (("fine_tune", "pretraining"), "lr"),
    (("fine_tune", "finetuning"), "epochs"),
    (("fine_tune", "sampling"), "roi"),
]


@pytest.mark.parametrize(("path", "key"), UNKNOWN, ids=[".".join((*path, key)) for path, key in UNKNOWN])
def test_an_unknown_key_is_fatal_at_every_level(load, config, path, key):
    at(config, path)[key] = 1
    with pytest.raises(ConfigError, match=rf"given\.yml has 1 fault.*\n  {'.'.join((*path, key))}: unknown key"):
        load(config)


MISSING = [
    ("name",), ("title",), ("zero_shot", "dropout"), ("zero_shot", "training", "crop"), ("fine_tune", "split", "test"),
    ("fine_tune", "sampling", "roi_size", 2), ("zero_shot", "normalisation", "percentiles", 1),
    ("fine_tune", "tasks", "phantom/organ-vertebra", "normalisation"), ("fine_tune", "networks", "unet", "network"),
]  # fmt: skip


@pytest.mark.parametrize("path", MISSING, ids=lambda path: ".".join(map(str, path)))
def test_a_missing_key_is_named(load, config, path):
    del at(config, path[:-1])[path[-1]]
    with pytest.raises(ConfigError, match=f"{'.'.join(map(str, path))}: key is missing"):
        load(config)


WRONG = [
    (("zero_shot", "training", "iterations"), 0),
    (("zero_shot", "training", "iterations"), "many"),
    (("zero_shot", "training", "batch_size"), 1.5),
    (("zero_shot", "training", "learning_rate"), -0.1),
    (("zero_shot", "training", "foreground"), 1.2),
    (("zero_shot", "training", "augmentation"), {"noise": 0.1}),
    (("zero_shot", "sources"), "phantom/nuclei-a"),
    (("zero_shot", "max_images"), 0),
    (("zero_shot", "resamples"), 10),
    (("zero_shot", "dropout", "strengths"), [0.5, 1.0]),
    (("zero_shot", "normalisation", "scope"), "batch"),
    (("fine_tune", "split", "finetune"), 0),
    (("fine_tune", "sampling", "overlap"), 1.0),
    (("fine_tune", "sampling", "roi_size"), [16, 16, "big"]),
    (("fine_tune", "sampling", "layers"), {"out": 1}),
    (("fine_tune", "seeds"), ["first"]),
    (("fine_tune", "tasks"), ["phantom/organ-kidney"]),
]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=[f"{'.'.join(path)}={value}" for path, value in WRONG])
def test_a_value_of_the_wrong_type_or_range_is_named_with_what_was_given(load, config, path, value):
    at(config, path[:-1])[path[-1]] = value
    with pytest.raises(ConfigError, match=f"{'.'.join(path)}.*: .*got") as error:
        load(config)
    assert "unknown key" not in str(error.value)


def test_all_faults_are_listed_at_once(load, config):
    config["titel"] = config.pop("title")
    config["zero_shot"]["training"]["iterations"] = "many"
    with pytest.raises(ConfigError, match=r"has 3 fault\(s\)") as error:
        load(config)
    assert all(f"\n  {key}: " in str(error.value) for key in ("title", "titel", "zero_shot.training.iterations"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dropout", {"strengths": [0.1], "headline": 0.3}, r"headline 0\.3 is not one of the strengths \[0\.1\]"),
        ("normalisation", {"window": [0, 1], "percentiles": [5, 95]}, "give either percentiles or window"),
        ("normalisation", {"scope": "image"}, "give either percentiles or window"),
        ("normalisation", {"percentiles": [95, 5]}, "low end must be below high end, got .*95.*5"),
        ("normalisation", {"window": [3, 3]}, "low end must be below high end"),
    ],
)
def test_values_that_contradict_each_other(load, config, key, value, message):
    config["zero_shot"][key] = value
    with pytest.raises(ConfigError, match=rf"zero_shot\.{key}: .*{message}"):
        load(config)


def test_a_study_without_a_part_is_refused(load):
    with pytest.raises(ConfigError, match="needs a zero_shot or a fine_tune section"):
        load({"name": "nothing", "title": "Nothing"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [open", r"given\.yml is not valid YAML"),
        ("- a\n- b\n", "expected a mapping of keys to values, got list"),
        ("", "expected a mapping of keys to values, got NoneType"),
    ],
)
def test_a_file_that_is_no_mapping(load, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        load(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["nuclej", "there/is/no.yml", ""])
def test_an_unknown_study_lists_the_known_ones(name):
    with pytest.raises(ConfigError, match=f"unknown study {name!r}.*'nuclei'.*'volumes'"):
        load_config(name)


def test_a_study_is_frozen(load, config):
    study = load(config)
    with pytest.raises(ValueError, match="frozen"):
        study.zero_shot.training.iterations = 7


def _changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 + 1
    if isinstance(value, str):
        return value + "x"
    return None


def _leaves(value, path=()):
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*path, key))
    elif _changed(value) is not None:
        yield path


@pytest.mark.parametrize(("part", "model"), [("zero_shot", ZeroShot), ("fine_tune", FineTune)])
def test_the_hash_changes_with_every_value(config, part, model):
    """Every leaf of the section is changed in turn; no two of the hashes are the same."""
    section = config[part]
    base = model.model_validate(section)
    hashes = {config_hash(base)}
    paths = list(_leaves(base.model_dump(mode="json")))
    assert len(paths) > 30
    for path in paths:
        changed = base.model_dump(mode="json")
        inner = at(changed, path[:-1])
        inner[path[-1]] = _changed(inner[path[-1]])
        hashes.add(config_hash(changed))
    assert len(hashes) == len(paths) + 1


def test_the_hash_ignores_the_order_of_keys_and_keeps_that_of_lists(config):
    def backwards(value):
        return {k: backwards(value[k]) for k in reversed(value)} if isinstance(value, dict) else value

    there, back = (StudyConfig.model_validate(c) for c in (config, backwards(config)))
    assert list(config) != list(backwards(config)) and config_hash(there) == config_hash(back)
    config["zero_shot"]["targets"] = config["zero_shot"]["targets"][::-1]
    assert config_hash(StudyConfig.model_validate(config)) != config_hash(there)


def test_the_hash_takes_sections_and_plain_values_and_tells_where_one_ends():
    window = Normalisation(window=(0, 1))
    assert config_hash(window, 1) != config_hash(window, 2)
    assert config_hash("ab", "c") != config_hash("a", "bc")
    assert config_hash(window) == config_hash(Normalisation(window=(0, 1)))
    assert len(config_hash(window)) == 12 and int(config_hash(window), 16) >= 0


def test_keys_that_came_later_are_in_a_hash_only_where_they_say_something(config):
    study = StudyConfig.model_validate(config)
    dumped = study.model_dump(mode="json")["fine_tune"]
    assert not {"bank", "box", "frozen", "targets", "reliability"} & set(dumped)
    assert not {"decay", "average"} & set(dumped["finetuning"])
    before = config_hash(study.fine_tune)
    config["fine_tune"] |= {"bank": {}, "box": None, "short": None, "surface": None}
    config["fine_tune"]["finetuning"] |= {"decay": "cosine", "average": None}
    assert config_hash(StudyConfig.model_validate(config).fine_tune) == before
    config["fine_tune"]["finetuning"] |= {"average": 0.9}
    assert config_hash(StudyConfig.model_validate(config).fine_tune) != before


def test_what_the_note_of_a_study_says_of_its_models_is_so():
    study = open_study("mitochondria")
    assert "F1 of 0.75 at home was the aim, and no model reaches it" in study.config.note
    homes = [read_card(study.models, model).performance["f1_median"] for model in wing("zero_shot").every_model(study)]
    assert homes and max(homes) < 0.75


def test_a_target_finds_its_study_and_an_unknown_one_says_what_to_do():
    assert study_of("nuclei/dsb2018-360") == "nuclei" and study_of("msd/Task04_Hippocampus") == "volumes"
    with pytest.raises(ConfigError, match=r"no study of config/ lists 'nuclei/dsb' .*python -m companion data list"):
        study_of("nuclei/dsb")


def test_a_part_that_a_study_lacks_is_named():
    with pytest.raises(ConfigError, match=r"study 'nuclei' has no fine_tune section; it has \['zero_shot'\]"):
        open_study("nuclei").part("fine_tune")


def test_a_network_may_have_iterations_of_its_own(load, config):
    (first, *_) = config["zero_shot"]["networks"]
    own = {**config, "zero_shot": {**config["zero_shot"], "iterations": {first: 7}}}
    part = load(own).zero_shot
    assert part.training_of(first) == part.training.model_copy(update={"iterations": 7})
    assert load(config).zero_shot.training_of(first) == part.training
    own["zero_shot"]["iterations"] = {"deeper": 7}
    with pytest.raises(ConfigError, match=r"iterations names \['deeper'\].*networks \['" + first):
        load(own)

"""MONAI bundles: network, preprocessing, windows and output as their configuration states them, read as data.

Reads a folder or an archive. Only classes of MONAI are made, with plain arguments; anything else is named and refused,
or evaluated where the user trusts the bundle.
"""

import re
from functools import cached_property

import numpy as np

from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo.cache import unpacked
from tte.zoo.formats.networks import UNKNOWN, filled, fixed_size
from tte.zoo.output import Output
from tte.zoo.packages import bundle_network, read_mapping
from tte.zoo.trusted import BUNDLE, BUNDLE_STEP, evaluated, evaluated_step, scripted
from tte.zoo.weights import fit_weights, read_weights

__all__ = ["BundleSteps", "bundle_reason", "open_bundle"]

_NO_CHANGE = {  # of intensities: reading, types, and where things lie
    *("LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "CastToType"),
    *("Orientation", "Spacing", "Identity", "ToDevice", "SpatialPad", "DivisiblePad", "CopyItems", "SelectItems"),
}
_REFERENCE = re.compile(r"\$?@([A-Za-z_]\w*(?:(?:#|::)\w+)*)")
_MM = 1000.0  # µm; MONAI counts in the unit of the image's affine, which for NIfTI is millimetres


class BundleSteps:
    """The intensity transforms of a bundle, one after the other, on one image.

    Parameters
    ----------
    steps : sequence of (str, callable)
        Their names, and transforms of MONAI that take and return an array (C, H, W[, Z]).
    """

    def __init__(self, steps):
        self._steps = tuple(steps)

    def __str__(self):
        return f"{', '.join(name for name, _ in self._steps)} (MONAI)"

    def __call__(self, image):
        """(C, H, W[, Z]) → the same shape, float32."""
        array = np.asarray(image, dtype=np.float32)
        for _, step in self._steps:
            array = step(array)
        result = np.asarray(array, dtype=np.float32)
        if result.shape != np.shape(image):
            raise InputError(f"{self}: made {result.shape} of an image of {np.shape(image)}; state `preprocessing`")
        return result


class _Configuration:
    """What a configuration says, references followed, nothing evaluated."""

    def __init__(self, path):
        self.path, self._content = path, read_mapping(path)

    def value(self, given, depth=8):
        """The value with plain references replaced; an expression raises `ConfigError`."""
        if isinstance(given, dict):
            return {key: self.value(item, depth) for key, item in given.items()}
        if isinstance(given, list):
            return [self.value(item, depth) for item in given]
        if not isinstance(given, str) or not given.startswith(("$", "@", "%")):
            return given
        found = _REFERENCE.fullmatch(given.strip())
        if not found or depth == 0:
            raise ConfigError(f"{self.path.name} has the expression {given[:60]!r}, which is not evaluated")
        return self.value(self._at(found[1]), depth - 1)

    def _at(self, name):
        place = self._content
        for part in re.split("#|::", name):
            try:
                place = place[int(part)] if isinstance(place, list) else place[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ConfigError(f"{self.path.name} refers to {name!r}, which it does not define") from None
        return place

    def steps(self, section):
        """The transforms of a section as they are written, or None where there is none."""
        found = self._content.get(section)
        if found is None:
            return None
        while isinstance(found, str):
            if not (reference := _REFERENCE.fullmatch(found.strip())):
                raise ConfigError(f"{self.path.name} has the expression {found[:60]!r}, which is not evaluated")
            found = self._at(reference[1])
        if isinstance(found, dict) and _short(found.get("_target_")) == "Compose":
            return self._listed(found.get("transforms"))
        return self._listed(found)

    def _listed(self, found):
        if isinstance(found, str) and (reference := _REFERENCE.fullmatch(found.strip())):
            found = self._at(reference[1])
        found = [found] if isinstance(found, dict) else found
        if not isinstance(found, list) or not all(isinstance(step, dict) and "_target_" in step for step in found):
            raise ConfigError(f"{self.path.name}: expected a list of transforms")
        return [step for step in found if step.get("_disabled_") not in (True, "true")]

    @cached_property
    def window(self):
        """{roi_size, overlap, mode} of its sliding windows; empty where the whole image goes in."""
        stated = self._content.get("inferer")
        if not isinstance(stated, dict):
            return {}
        name = _short(stated.get("_target_"), ("monai.inferers",))
        if name == "SimpleInferer":
            return {}
        if not name.startswith("SlidingWindowInferer"):
            raise ConfigError(
                f"{self.path.name}: inferer {stated.get('_target_')} has no counterpart; state `roi_size`"
            )
        kept = {key: self.value(stated[key]) for key in ("roi_size", "overlap", "mode") if key in stated}
        size = kept.get("roi_size")
        if not isinstance(size, list) or not all(isinstance(n, int) and n > 0 for n in size):
            return {}  # along an axis without a number the whole image goes in
        return {"overlap": 0.25, "mode": "constant", **kept}


def _short(target, modules=("monai.transforms",)):
    """The name of a class of these modules of MONAI without its module; anything else is refused."""
    module, _, name = str(target).rpartition(".")
    if module and not any(f"{module}.".startswith(f"{known}.") for known in modules):
        raise ConfigError(f"it names {target}, which is no class of {' or '.join(modules)}: nothing of it was run")
    return name


def _kind(name):
    """The name without the ending of dictionary transforms."""
    return next((name.removesuffix(end) for end in ("Dict", "D", "d") if name.endswith(end) and name != "Pad"), name)


def _step(configuration, stated, folder, trust):
    """(name, transform) of one step of the preprocessing, or None where it changes no intensity."""
    import monai.transforms

    try:
        name = _short(stated["_target_"])
        if _kind(name) in _NO_CHANGE:
            return None
        found = getattr(monai.transforms, name, None)
        if not isinstance(found, type) or ".intensity." not in found.__module__ or name.startswith("Rand"):
            raise ConfigError(f"its transform {stated['_target_']} has no counterpart: nothing of it was run")
        settings = configuration.value({key: item for key, item in stated.items() if not key.startswith("_")})
    except ConfigError:
        if trust:
            return str(stated["_target_"]), _on_array(evaluated_step(configuration.path, folder, stated))
        raise
    try:
        return name, _on_array(found(**settings))
    except Exception as error:  # whatever an argument of a stranger leads to
        reason = " ".join(str(error).split())[:150]
        raise ConfigError(f"{configuration.path.name}: {name} refused its arguments: {reason}") from None


def _on_array(made):
    """A transform as a function of an array; a dictionary transform has the image under its first key."""
    from monai.transforms import MapTransform

    if not isinstance(made, MapTransform):
        return made
    keys = tuple(made.keys)
    return lambda array: made(dict.fromkeys(keys, array))[keys[0]]


def _preprocessing(configuration, folder, trust):
    """The rule for `tte.zoo.preprocessing.preprocess`, or the `ConfigError` that says why there is none."""
    try:
        stated = configuration.steps("preprocessing")
        if stated is None:
            return None
        _orientation(configuration, strict=True)
        steps = [step for one in stated if (step := _step(configuration, one, folder, trust)) is not None]
    except ConfigError as error:
        return error
    return BundleSteps(steps) if steps else "none"


def _pixel_size(configuration):
    """µm per pixel to which its preprocessing brings images, where it says so in plain numbers."""
    try:
        spacing = [
            one for one in configuration.steps("preprocessing") or [] if _kind(_short(one["_target_"])) == "Spacing"
        ]
        size = configuration.value(spacing[-1].get("pixdim")) if spacing else None
    except ConfigError:
        return None
    plain = isinstance(size, list) and all(isinstance(n, int | float) and n > 0 for n in size)
    return tuple(float(n) * _MM for n in size) if plain else None


def _orientation(configuration, strict=False):
    """RAS where its preprocessing turns volumes so, else None; other ways are a `ConfigError` where `strict`."""
    try:
        stated = configuration.steps("preprocessing") or []
        turns = [one for one in stated if _kind(str(one["_target_"]).rpartition(".")[2]) == "Orientation"]
        codes = configuration.value(turns[-1].get("axcodes")) if turns else None
        closest = bool(turns) and configuration.value(turns[-1].get("as_closest_canonical", False)) is True
    except ConfigError:
        if strict:
            raise
        return None
    if strict and turns and codes != "RAS" and not closest:
        raise ConfigError(f"it takes volumes turned to {codes}, and they can be turned to RAS only")
    return "RAS" if codes == "RAS" or closest else None


def _output(configuration):
    """(activation, threshold or None) of its postprocessing."""
    activation, threshold = UNKNOWN, None
    try:
        for one in configuration.steps("postprocessing") or []:
            name = _kind(str(one["_target_"]).rpartition(".")[2])
            if name == "Activations":
                activation = next((kind for kind in ("sigmoid", "softmax") if one.get(kind) is True), activation)
            elif name == "AsDiscrete":
                activation = "softmax" if activation == UNKNOWN and one.get("argmax") is True else activation
                threshold = one.get("threshold") if isinstance(one.get("threshold"), int | float) else None
    except ConfigError:
        pass
    return activation, threshold


def _metadata(folder):
    """(names of the output's channels, what metadata.json says for people)."""
    path = folder / "configs" / "metadata.json"
    if not path.is_file():
        return (), {}
    content = read_mapping(path)
    cited = content.get("references")
    known = {
        "name": content.get("name"),
        "trained_on": content.get("data_source"),
        "licence": content.get("license"),
        "citation": "; ".join(map(str, cited)) if isinstance(cited, list) else None,
    }
    outputs = (content.get("network_data_format") or {}).get("outputs") or {}
    channels = next((one.get("channel_def") for one in outputs.values() if isinstance(one, dict)), None)
    names = [str(channels[key]) for key in sorted(channels, key=int)] if isinstance(channels, dict) else []
    return tuple(names), {key: str(value) for key, value in known.items() if value}


def open_bundle(entry, trust):
    """Open a bundle: as `tte.zoo.formats.registry.Format.open`."""
    folder = unpacked(entry.weights)
    network, size, path = _network(entry, folder, trust)
    facts = {"files": (path,), "roi_size": size}
    try:
        configuration = _Configuration(bundle_network(folder, entry.config)[0])
    except (DataNotFound, InputError):
        if entry.network is None:
            raise
        return network, UNKNOWN, None, {}, facts
    activation, threshold = _output(configuration)
    window = {} if entry.roi_size else configuration.window
    classes, card = _metadata(folder)
    facts |= {"classes": classes, "card": card, "pixel_size": _pixel_size(configuration)}
    facts |= {"orientation": _orientation(configuration)}
    facts |= {"roi_size": tuple(window["roi_size"]), "tiling": (window["overlap"], window["mode"])} if window else {}
    if threshold is not None and activation == "sigmoid" and 0 <= threshold < 1:
        facts["output"] = Output(
            foreground=0, threshold=threshold, decoder="none" if len(classes) > 1 else "components"
        )
    preprocessing = None if entry.preprocessing else _preprocessing(configuration, folder, trust)
    return network, activation, preprocessing, {}, facts


def _network(entry, folder, trust):
    """(network with its weights, the one size it takes or None, file of the weights)."""
    path, key, script = folder / "models" / "model.pt", entry.key, folder / "models" / "model.ts"
    if not path.is_file() and script.is_file():
        return scripted(script, trust), None, script
    if entry.network is not None:
        return filled(entry.network, path, key, trust), fixed_size(entry.network), path
    config, spec = bundle_network(folder, entry.config)
    if spec is not None:
        return filled(spec, path, key), fixed_size(spec), path
    network = evaluated(config, folder, trust)
    fit_weights(network, read_weights(path, key), path.name)
    return network, None, path


def bundle_reason(entry):
    """Why opening it would run code that comes with it: as `tte.zoo.formats.registry.Format.trust`."""
    folder = unpacked(entry.weights)
    if entry.network is None and bundle_network(folder, entry.config)[1] is None:
        return BUNDLE
    if entry.preprocessing is None:
        found = _preprocessing(_Configuration(bundle_network(folder, entry.config)[0]), folder, trust=False)
        if isinstance(found, ConfigError):
            return f"{BUNDLE_STEP}: {found}"
    return ""

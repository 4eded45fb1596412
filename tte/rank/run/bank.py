"""The models of a run: opened once to learn what they are, and again when they run if they do not all fit in memory.

Reads a bank file and the files it names; a model that cannot be opened is left out with its reason.
"""

import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import torch

from tte.errors import ConfigError, InputError, TTEError
from tte.rank.preflight import check_model, report
from tte.rank.result import LeftOut
from tte.rank.run.output import cell_key, digest_of
from tte.rank.run.passes import on_device
from tte.rank.run.seen import Seen
from tte.rank.run.sources import pixel_size_of
from tte.zoo.file import read_bank
from tte.zoo.model import Model, open_model

__all__ = ["Bank", "device_of", "line"]

_OPEN_BYTES = 2 << 30  # of weights held at once


class Bank:
    """Models by name.

    Parameters
    ----------
    models : path, or sequence of BankEntry or Model
        A bank file, its entries, or models that are open already.
    trust : bool
        Run code that comes with a model.
    only : sequence of str or None
        The models that are in, as another process has found.

    Attributes
    ----------
    names : tuple of str
    left_out : list of LeftOut
    cards : dict of str to dict
        What is known of each model; with its group.
    takes_dropout : dict of str to bool
        Whether a model has a layer at which features can be dropped.
    ras : bool
        Whether a model takes volumes in RAS order; then all get them so.

    Raises
    ------
    ConfigError
        There is no model, a name comes twice, or none can be opened.
    """

    def __init__(self, models, trust=False, only=None):
        entries = read_bank(models) if isinstance(models, (str, Path)) else list(models)
        entries = [entry for entry in entries if only is None or entry.name in only]
        names = [entry.name for entry in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            raise ConfigError(
                f"models: {twice[0]!r} comes twice" if twice else "models: expected at least one, got none"
            )
        self._entries, self._trust, self._open = dict(zip(names, entries, strict=True)), trust, OrderedDict()
        self.left_out, self.cards, self.groups, self._identities, self._rules = [], {}, {}, {}, {}
        self.takes_dropout, self._channels, self.ras = {}, {}, False
        for name in names:
            try:
                model = self.opened(name)
            except (TTEError, OSError, RuntimeError, ImportError) as error:
                self.drop(name, line(error).removeprefix(f"{name}: "))
                continue
            self.groups[name] = model.group or name
            self.cards[name] = {"group": self.groups[name], **model.card}
            self._identities[name] = model.identity
            self.takes_dropout[name] = model.dropout_layer is not None
            self._channels[name] = model.channels
            self.ras |= model.orientation == "RAS"
        self.require_some()

    @property
    def names(self):
        """Names of the models that are still in, in the order of the bank."""
        return tuple(name for name in self._entries if name in self._identities)

    @property
    def takes_volumes(self):
        """Whether the first model takes 3D images."""
        return self.opened(self.names[0]).spatial_dims == 3

    def channel(self, chosen):
        """The channel to read: as chosen, else "all" where a model takes several."""
        several = any(self._channels[name] > 1 for name in self.names)
        return "all" if chosen is None and several else chosen

    def require_some(self):
        """Raise `ConfigError` where no model is left."""
        if not self.names:
            faults = "; ".join(f"{one.name}: {one.reason}" for one in self.left_out[:3])
            raise ConfigError(f"no model can be run: {faults}")

    def drop(self, name, reason):
        """Take a model out of the run."""
        self._identities.pop(name, None)
        self._open.pop(name, None)
        self.left_out.append(LeftOut("model", name, reason))

    def opened(self, name):
        """The model, opened again where it had to give room to others."""
        if name not in self._open:
            entry = self._entries[name]
            model = entry if isinstance(entry, Model) else open_model(entry, trust=self._trust)
            self._open[name] = on_device(self._scaled(name, model), torch.device("cpu"))
            while len(self._open) > 1 and sum(map(_bytes, self._open.values())) > _OPEN_BYTES:
                self._open.popitem(last=False)
        self._open.move_to_end(name)
        return self._open[name]

    def _scaled(self, name, model):
        return replace(model, preprocessing=self._rules[name]) if name in self._rules else model

    def identity(self, name):
        """What names the model, its weights and how images are scaled for it."""
        return digest_of(self._identities[name], str(self._rules.get(name, "")))

    def preflight(self, found, keys, cells, device, pixel_size=None, log=None):
        """Run every model that has something to do once, on one image.

        Parameters
        ----------
        found : ImageSet
        keys : dict of str to dict
            {image: {model: key of their cell}}.
        cells : Cells
        device : torch.device
        pixel_size : tuple of float, µm, or None
        log : callable, optional
            Takes a line of text.

        Returns
        -------
        list of str
            What looks wrong. Models that fail are left out.
        """
        todo = [m for m in self.names if any(not cells.has(keys[n][m]) for n in found.names)]
        first = next(found.chunks(found.names[:1]), None) or next(found.chunks(found.names), None)
        if not todo or first is None:
            return []
        sample = first[0][1]
        options = {"device": device, "pixel_size": pixel_size_of(sample, pixel_size), "costs": False}
        checks = [check_model(m, lambda m=m: self.opened(m), [sample], **options) for m in todo]
        for check in checks:
            if not check.ok:
                self.drop(check.name, check.error)
        if log is not None:
            log(report(checks, len(found.names)).splitlines()[0])
        self.require_some()
        doubts = [f"{check.name}: {text}" for check in checks if check.ok for text in check.warnings]
        if self.ras and sample.orientation == "unknown":
            doubts.append(f"{first[0][0]}: its header does not say where its axes point, and a model takes volumes in "
                          "RAS order: they go in as they are stored")  # fmt: skip
        return doubts

    def fit(self, found, cells):
        """Fix the scaling of models that need percentiles of all images; measured once per rule and set of images."""
        pixels = [found.digest(name) for name in found.names]
        for name in self.names:
            model = self.opened(name)
            if not model.needs_folder:
                continue
            rule = model.preprocessing
            key = cell_key("scaling of all pixels", json.loads(rule.model_dump_json()), pixels, model.channels)
            kept = cells.read(key) if cells.has(key) else None
            try:
                if kept is None:
                    fitted = model.fitted(Seen(model, _Stored(found)))
                    window = fitted.preprocessing.window
                    cells.write(key, {"window": list(window)})
                else:
                    window = tuple(kept[0]["window"])
            except InputError as error:
                self.drop(name, line(error))
                continue
            self._rules[name] = rule.model_copy(update={"window": window, "percentiles": None})
            self._open[name] = self._scaled(name, model)
        self.require_some()


class _Stored:
    """The images of a set, read anew each time they are gone through."""

    def __init__(self, found):
        self._found = found

    def __iter__(self):
        return (sample for chunk in self._found.chunks(list(self._found.names)) for _, sample in chunk)


def _bytes(model):
    tensors = [*model.module.parameters(), *model.module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def device_of(device):
    """The device to run on; None takes a CUDA device where there is one."""
    try:
        return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise InputError(f"device: expected cpu, cuda or cuda:0, got {device!r}") from None


def line(error):
    """An error as one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__

"""Feature dropout at one layer: clean and dropped outputs of one batch, at less than a forward pass each.

Reads a model, a batch and channel weights; returns outputs. The part of the network that does not depend on the layer
runs once and the rest is replayed. A traced graph is used only after it has given, bit for bit, what the model gives.
"""

import warnings
from collections import OrderedDict
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import fx

from tte.errors import InputError
from tte.perturbation.inference import channel_axis, channel_factors, forward, submodule

__all__ = ["FullPasses", "SharedPrefix", "dropout_passes"]

_SHAPES_KEPT = 4  # traces kept per model
_traces: WeakKeyDictionary = WeakKeyDictionary()


class FullPasses:
    """Outputs of one batch with and without dropout at a layer, one whole forward pass each.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    x : tensor, shape (N, C, H, W[, Z])
    layer : str or tuple of str
        As in `model.named_modules()`; of several layers each drops channels of its own.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Conv2d(2, 1, 1, bias=False))
    >>> bool((FullPasses(net, torch.ones(1, 1, 2, 2), "0").dropped(lambda n: np.zeros(n, "float32")) == 0).all())
    True
    """

    def __init__(self, model, x, layer):
        names = (layer,) if isinstance(layer, str) else layer
        self._model, self._x, self._layers = model, x, {name: submodule(model, name) for name in names}

    def clean(self):
        """Return the output without dropout."""
        return forward(self._model, self._x)

    def dropped(self, draw):
        """Return the output with the layer's channels scaled by `draw(n_channels)`, shape (D,) or (N, D)."""
        weights = {}

        def scaling(name):
            def scale(module, inputs, output):
                if name not in weights:  # a layer that runs twice keeps its dropped channels
                    weights[name] = draw(output.shape[channel_axis(output)])
                return output * channel_factors(weights[name], output)

            return scale

        handles = [layer.register_forward_hook(scaling(name)) for name, layer in self._layers.items()]
        try:
            out = forward(self._model, self._x)
        finally:
            for handle in handles:
                handle.remove()
        if idle := [name for name in self._layers if name not in weights]:
            raise InputError(f"layer: {idle[0]!r} never runs in a forward pass, so dropout there changes nothing")
        return out


class SharedPrefix:
    """Outputs of one batch with and without dropout at a layer; what does not depend on the layer runs once.

    Parameters
    ----------
    trace : _Trace
        From `dropout_passes`, which makes and checks it.
    x : tensor, shape (N, C, H, W[, Z])
        Of the shape, type and device of the traced batch.
    """

    def __init__(self, trace, x):
        self._trace, self._clean = trace, None
        self._values = trace.prefix(x)

    def clean(self):
        """Return the output without dropout, which is computed once."""
        if self._clean is None:
            self._clean = self.dropped(lambda n: np.ones(n, np.float32))
        return self._clean

    def dropped(self, draw):
        """Return the output with the layer's channels scaled by `draw(n_channels)`, shape (D,) or (N, D)."""
        example = self._trace.example
        return self._trace.suffix(self._values, channel_factors(draw(example.shape[channel_axis(example)]), example))

    def versions(self):
        """Return how often each shared tensor was written to: a replay that writes into one cannot be repeated."""
        return [value._version for value in self._values if isinstance(value, torch.Tensor)]


def dropout_passes(model, x, layer):
    """Return the cheapest exact way to run `model` on `x` with and without dropout at `layer`.

    The model is traced (torch.fx, else torch.export) once per shape and state of its weights. The trace must
    reproduce the model on `x`, with the channels of the layer scaled by factors that differ, bit for bit; otherwise
    full passes are used, with a warning that says why.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode and outside gradients.
    x : tensor, shape (N, C, H, W[, Z])
    layer : str or tuple of str
        As in `model.named_modules()`. Several layers share no part worth keeping, so they take full passes.

    Returns
    -------
    SharedPrefix or FullPasses
        Both have `clean()` and `dropped(draw)`.

    Raises
    ------
    InputError
        The layer does not exist, never runs, or does not return one tensor of maps or tokens.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Conv2d(2, 1, 1))
    >>> with torch.no_grad():
    ...     passes = dropout_passes(net, torch.ones(1, 1, 2, 2), "0")
    ...     type(passes).__name__, torch.equal(passes.clean(), net(torch.ones(1, 1, 2, 2)))
    ('SharedPrefix', True)
    """
    if not isinstance(layer, str):
        return FullPasses(model, x, layer)
    kept = _traces.setdefault(model, OrderedDict())
    key = (layer, tuple(x.shape), x.dtype, x.device, _state(model))
    if key not in kept:
        kept[key], shared = _checked_trace(model, x, layer)
        while len(kept) > _SHAPES_KEPT:
            kept.popitem(last=False)
        if shared is not None:
            return shared
    return FullPasses(model, x, layer) if kept[key] is None else SharedPrefix(kept[key], x)


def _state(model):
    """Identify the modules and the present values of the weights, so that a trace never outlives them."""
    tensors = (*model.parameters(), *model.buffers())
    versions = tuple((t.data_ptr(), None if t.is_inference() else t._version) for t in tensors)
    return versions, tuple(id(module) for module in model.modules())


def _checked_trace(model, x, layer):
    """Return the first trace that reproduces the model on `x`, with its passes, or two times None after a warning."""
    full, seen = FullPasses(model, x, layer), []
    handle = submodule(model, layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        expected = full.dropped(_uneven)
    finally:
        handle.remove()
    reasons = []
    for trace_with in (_fx_graph, _export_graph):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trace = _Trace(trace_with(model, x, layer, seen[0]), seen[0])
                shared = SharedPrefix(trace, x)
                versions = shared.versions()
                same = torch.equal(shared.dropped(_uneven), expected)
                untouched = shared.versions() == versions
        except Exception as error:  # a tracer fails in as many ways as there are models
            reasons.append(f"{trace_with.__name__[1:]}: {str(error).strip().splitlines()[0][:120]}")
            continue
        if same and untouched:
            return trace, shared
        reasons.append(f"{trace_with.__name__[1:]}: the traced graph gives another output")
    warnings.warn(
        f"{type(model).__name__} could not be split at {layer!r}, so every perturbation takes a full forward pass "
        f"({'; '.join(reasons)})",
        stacklevel=3,
    )
    return None, None


def _uneven(n_channels):
    """Every channel counts, and the factors, powers of 2, round nothing."""
    return np.where(np.arange(n_channels) % 2, 2.0, 0.5).astype(np.float32)


class _Trace:
    """A traced module with inputs (x, factors), cut in two: what does not depend on the factors, and the rest."""

    def __init__(self, module, example):
        self.example = example.new_empty(()).expand(example.shape)  # shape, type and device only
        nodes = list(module.graph.nodes)
        x, factors = (node for node in nodes if node.op == "placeholder")
        (output,) = (node for node in nodes if node.op == "output")
        (output,) = output.all_input_nodes  # torch.export wraps it in a tuple
        late = {factors}
        for node in nodes:
            if any(source in late for source in node.all_input_nodes):
                late.add(node)
        if output not in late:
            raise InputError("the output does not depend on the layer")
        steps = [node for node in nodes if node.op not in ("placeholder", "output")]
        after = [node for node in steps if node in late]
        used = {source for node in after for source in node.all_input_nodes}
        shared = [node for node in (x, *steps) if node in used and node not in late]
        self.prefix = _part(module, [x], [node for node in steps if node not in late], tuple(shared))
        self._rest = _part(module, [*shared, factors], after, output)

    def suffix(self, values, factors):
        """Run the rest on what `prefix(x)` gave, which stays as it is."""
        return self._rest(*values, factors)


def _part(module, inputs, steps, output):
    """Return a module that computes `steps` of a traced module from the values of the nodes `inputs`."""
    graph, copies = fx.Graph(), {}
    for node in inputs:
        copies[node] = graph.placeholder(node.name)
    for node in steps:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in output) if isinstance(output, tuple) else copies[output])
    return fx.GraphModule(module, graph)


class _Scaled(torch.nn.Module):
    """`model` with a second input: the factors that scale the output of its layer."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.factors = [None]  # a list, since a tensor attribute set while tracing would count as a buffer

    def forward(self, x, factors):
        self.factors[0] = factors
        return self.model(x)


class _LayerTracer(fx.Tracer):
    def __init__(self, layer, factors):
        super().__init__()
        self._layer, self._held = layer, factors

    def call_module(self, m, forward, args, kwargs):
        out = super().call_module(m, forward, args, kwargs)
        return out * self._held[0] if m is self._layer else out


def _fx_graph(model, x, layer, example):
    scaled = _Scaled(model)
    graph = _LayerTracer(submodule(model, layer), scaled.factors).trace(scaled)
    return fx.GraphModule(scaled, graph)


def _export_graph(model, x, layer, example):
    scaled = _Scaled(model)
    factors = channel_factors(np.ones(example.shape[channel_axis(example)], np.float32), example)
    handle = submodule(model, layer).register_forward_hook(lambda m, inputs, output: output * scaled.factors[0])
    try:
        return torch.export.export(scaled, (x, factors), strict=False).module(check_guards=False)
    finally:
        handle.remove()

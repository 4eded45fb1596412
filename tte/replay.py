"""Feature dropout at one layer of a network: clean and dropped outputs of one input.

Reads a model, an input and the channel factors; returns outputs.
"""

from tte._inference import channel_axis, channel_factors, forward, submodule
from tte.errors import InputError

__all__ = ["FullPasses"]


class FullPasses:
    """Outputs of one input with and without dropout at a layer, one whole forward pass each.

    Parameters
    ----------
    model : torch.nn.Module
    x : tensor, shape (N, C, H, W[, Z])
    layer : str
        As in `model.named_modules()`.
    """

    def __init__(self, model, x, layer):
        self._model, self._x, self._layer = model, x, submodule(model, layer)
        self._name = layer

    def clean(self):
        """Return the output without dropout."""
        return forward(self._model, self._x)

    def dropped(self, draw):
        """Return the output with the layer's channels scaled by `draw(n_channels)`, an array (n_channels,)."""
        weights = []

        def scale(module, inputs, output):
            if not weights:  # a layer that runs twice keeps its dropped channels
                weights.append(draw(output.shape[channel_axis(output)]))
            return output * channel_factors(weights[0], output)

        handle = self._layer.register_forward_hook(scale)
        try:
            out = forward(self._model, self._x)
        finally:
            handle.remove()
        if not weights:
            raise InputError(f"layer: {self._name!r} never runs in a forward pass, so dropout there changes nothing")
        return out

"""Networks that an entry states by name, built and filled with weights.

Reads weights as data; an import path runs code of the user's, and only with trust.
"""

from pathlib import Path

from tte.errors import ConfigError, TTEError
from tte.zoo.card import build_network
from tte.zoo.released.nnunet import dynunet_names, is_nnunet
from tte.zoo.released.unet import ReleasedUNet
from tte.zoo.released.unet_config import UNET_NAMES, unet_config
from tte.zoo.trusted import imported, of_smp
from tte.zoo.weights import fit_weights, read_weights

__all__ = ["UNKNOWN", "filled", "fixed_size", "own_facts"]

UNKNOWN = "unknown"  # activation that the files of a model do not say


def _built(spec, trust=False):
    """The network of a specification: of pytorch-3dunet by its names there, of another library, else of MONAI."""
    if ":" in spec.network:
        return imported(spec, trust)
    if spec.network.startswith("smp."):
        return of_smp(spec)
    if spec.network in UNET_NAMES:
        return ReleasedUNet(unet_config({**spec.arguments, "name": spec.network}))
    try:
        return build_network(spec)
    except TTEError:
        raise
    except Exception as error:  # networks fail on arguments of theirs in every way
        reason = f"{type(error).__name__}: {error}"[:200]
        raise ConfigError(f"{spec.network} refused its arguments: {' '.join(reason.split())}") from None


def filled(spec, path, key, trust=False):
    """The network of a specification with the weights of a file; all names and shapes must fit."""
    network, weights = _built(spec, trust), read_weights(path, key)
    if spec.network == "DynUNet" and is_nnunet(weights):
        weights = dynunet_names(weights)
    fit_weights(network, weights, Path(path).name)
    return network


def fixed_size(spec):
    """The one size that a network takes by its arguments, or None: UNETR has a position embedding of `img_size`.

    Examples
    --------
    >>> from tte.zoo.schema import Network
    >>> fixed_size(Network(network="UNETR", arguments={"img_size": 48, "spatial_dims": 2}))
    (48, 48)
    """
    size = spec.arguments.get("img_size") if spec.network == "UNETR" else None
    if isinstance(size, int):
        return (size,) * int(spec.arguments.get("spatial_dims", 3))
    return None if size is None else tuple(size)


def own_facts(network):
    """Activation and layers that a pytorch-3dunet network states itself."""
    if isinstance(network, ReleasedUNet):
        return network.config.activation, network.layers
    return UNKNOWN, {}

"""The `model` section of a training configuration of the package pytorch-3dunet, checked.

Takes a mapping; returns a frozen object, or says in one line what is wrong.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tte._yaml import faults
from tte.errors import ConfigError

__all__ = ["UNET_NAMES", "UNetConfig", "unet_config"]

UNET_NAMES = ("UNet2D", "UNet3D", "ResidualUNet2D", "ResidualUNet3D")

_Count = Annotated[int, Field(gt=0)]
_Sizes = _Count | tuple[_Count, ...]
_LETTERS = "gbcrledD"
_INERT = ("feature_return", "feature_perturbation", "return_encoder_features", "return_decoder_features", "testing")


class UNetConfig(BaseModel):
    """The `model` section of a pytorch-3dunet configuration, with that package's defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal[UNET_NAMES]  # type: ignore[valid-type]
    in_channels: _Count
    out_channels: _Count
    final_sigmoid: bool = True
    f_maps: _Sizes = 64  # channels of every level, or of the first, doubled from level to level
    num_levels: _Count | None = None  # None = 4, residual 5; counts only where f_maps is one number
    layer_order: str = "gcr"
    num_groups: _Count | None = 8
    is_segmentation: bool = True
    conv_padding: int | tuple[int, ...] = 1
    conv_upscale: _Count = 2  # 1: the first convolution of a level reaches its channels already
    conv_kernel_size: Literal[3] = 3  # another size: older versions of the package obey it, newer ones pass it over
    pool_kernel_size: Literal[2] = 2  # so too
    upsample: Literal["default", "nearest", "bilinear", "trilinear", "area", "deconv"] = "default"
    dropout_prob: float | tuple[float, float] = 0.1

    @property
    def residual(self):
        """True for blocks with a residual, joined by summation."""
        return self.name.startswith("Residual")

    @property
    def dimensions(self):
        """Number of spatial axes."""
        return 2 if self.name.endswith("2D") else 3

    @property
    def channels(self):
        """Channels of every level, highest resolution first."""
        if isinstance(self.f_maps, tuple):
            return self.f_maps
        return tuple(self.f_maps * 2**level for level in range(self.num_levels or (5 if self.residual else 4)))

    @property
    def activation(self):
        """What the package applies at test time: "sigmoid", "softmax" or None."""
        return ("sigmoid" if self.final_sigmoid else "softmax") if self.is_segmentation else None


def unet_config(section):
    """Check the `model` section of a training configuration.

    Parameters
    ----------
    section : dict
        As the package reads it. Settings of a run (feature_perturbation, feature_return, …) are passed over, for they
        leave the network as it is; any other unknown key is an error.

    Returns
    -------
    UNetConfig

    Raises
    ------
    ConfigError
        A key is unknown or missing, a value has the wrong type, or no network can be built from it.

    Examples
    --------
    >>> unet_config({"name": "UNet2D", "in_channels": 1, "out_channels": 1, "f_maps": 8}).channels
    (8, 16, 32, 64)
    """
    if not isinstance(section, dict):
        raise ConfigError(f"model section: expected a mapping of keys to values, got {type(section).__name__}")
    try:
        config = UNetConfig.model_validate({key: value for key, value in section.items() if key not in _INERT})
    except ValidationError as error:
        raise ConfigError("model section: " + "; ".join(faults(error))) from None
    order = config.layer_order
    if set(order) - set(_LETTERS) or order.count("c") != 1 or len(set(order)) < len(order) or order[0] in "rle":
        raise ConfigError(
            f"model section: layer_order {order!r}: expected one c (convolution) and letters of {_LETTERS!r}, "
            "none twice and no r, l or e first"
        )
    if "g" in order and config.num_groups is None:
        raise ConfigError(f"model section: layer_order {order!r} needs num_groups")
    _check_upsampling(config)
    if len(config.channels) < 2:
        raise ConfigError(f"model section: expected at least 2 levels, got channels {config.channels}")
    return config


def _check_upsampling(config):
    """Refuse what the package takes and cannot run, because the channels of the joined maps do not fit."""
    if config.residual and config.upsample not in ("default", "deconv"):
        raise ConfigError(f"model section: {config.name} upsamples with 'default' or 'deconv', not {config.upsample!r}")
    doubled = all(2 * low == high for low, high in zip(config.channels, config.channels[1:], strict=False))
    if config.upsample == "deconv" and not doubled:
        raise ConfigError(f"model section: upsample 'deconv' needs f_maps that double, got {config.channels}")

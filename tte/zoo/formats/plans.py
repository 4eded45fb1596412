"""The plans.json of an nnU-Net 2 model: its network, its windows and its axes, in the order of our images.

Takes parsed JSON; reads no file and runs nothing.
"""

from typing import NamedTuple

from tte.errors import ConfigError, InputError

__all__ = ["CLASS_ARGUMENTS", "Architecture", "Plans"]

_ROWS_FIRST = ("NaturalImage2DIO", "Tiff3DIO")  # readers that give (z, y, x) of which our images are (y, x, z)
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")
_PER_AXIS = ("kernel_sizes", "strides")


CLASS_ARGUMENTS = ("conv_op", "norm_op", "dropout_op", "nonlin")  # arguments of a network that name classes


class Architecture(NamedTuple):
    """A network of nnU-Net: the name of its class and the arguments of its constructor, per axis in our order."""

    name: str
    arguments: dict

    @property
    def eps(self):
        """Of its norm."""
        return float((self.arguments.get("norm_op_kwargs") or {}).get("eps", 1e-5))

    @property
    def is_dynunet(self):
        """Whether MONAI's DynUNet computes the same: two convolutions a stage, instance norm, leaky ReLU."""
        stated = self.arguments
        counts = {*_listed(stated.get("n_conv_per_stage")), *_listed(stated.get("n_conv_per_stage_decoder"))}
        plain = not stated.get("dropout_op") and not stated.get("nonlin_first") and counts == {2}
        norm, nonlin = (str(stated.get(name)).rpartition(".")[2] for name in ("norm_op", "nonlin"))
        slope = (stated.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)
        affine = (stated.get("norm_op_kwargs") or {}).get("affine") is True
        usual = norm.startswith("InstanceNorm") and affine and nonlin == "LeakyReLU" and slope == 0.01
        return self.name == "PlainConvUNet" and plain and usual


class Plans:
    """What plans.json says of one configuration.

    Parameters
    ----------
    content : dict
    folder_name : str
        Of the model, which ends in the configuration: ``nnUNetTrainer__nnUNetPlans__2d``.
    path : Path
        For messages.

    Attributes
    ----------
    configuration, dataset : str
    spatial_dims : int
    patch_size : tuple of int
    spacing : tuple of float, millimetres, or None
        Of images of a medical type; other types have no unit.

    Raises
    ------
    InputError, ConfigError
        A key is missing, the configuration is not there, or the network is not known.
    """

    def __init__(self, content, folder_name, path):
        self._content, self._path = content, path
        known = content.get("configurations")
        if not isinstance(known, dict) or not known:
            raise InputError(f"{path}: expected `configurations`, got none")
        self.configuration = folder_name.rpartition("__")[2]
        if self.configuration not in known and len(known) == 1:
            (self.configuration,) = known
        if self.configuration not in known:
            raise ConfigError(
                f"{path} has the configurations {', '.join(known)}; name the folder of the model after one of them, "
                "as nnU-Net does: TRAINER__PLANS__CONFIGURATION"
            )
        self._stated = self._inherited(known, self.configuration)
        self.dataset = str(content.get("dataset_name") or "")
        patch = self._needed("patch_size")
        self.spatial_dims, self._places = len(patch), self._axes(len(patch))
        self.patch_size = tuple(int(n) for n in self._turned(patch))
        medical = content.get("image_reader_writer") not in _ROWS_FIRST
        spacing = self._stated.get("spacing")
        self.spacing = tuple(map(float, self._turned(spacing[-len(patch) :]))) if medical and spacing else None

    def _inherited(self, known, name, depth=5):
        parent = known[name].get("inherits_from")
        if parent is None:
            return known[name]
        if parent not in known or depth == 0:
            raise InputError(f"{self._path}: {name} inherits from {parent!r}, which is not there")
        return {**self._inherited(known, parent, depth - 1), **known[name]}

    def _needed(self, name):
        if name not in self._stated:
            raise InputError(f"{self._path}: expected `{name}` in {self.configuration}, got none")
        return self._stated[name]

    def _axes(self, n):
        """For each of our axes the axis of the network that it is."""
        rows_first = self._content.get("image_reader_writer") in _ROWS_FIRST
        order = list(self._content.get("transpose_forward") or (0, 1, 2))
        if sorted(order) != [0, 1, 2] or (n == 2 and order[0] != 0):
            raise ConfigError(f"{self._path}: transpose_forward {order} has no counterpart for {n}D images")
        ours = ((2, 0, 1) if rows_first else (2, 1, 0)) if n == 3 else ((0, 1) if rows_first else (1, 0))
        network = [ours[axis - (3 - n)] for axis in order[3 - n :]]  # the axis of ours that each of the network's is
        return [network.index(axis) for axis in range(n)]

    def _turned(self, values):
        """One value per axis of the network, in the order of our axes."""
        if not isinstance(values, list | tuple) or len(values) != self.spatial_dims:
            raise InputError(f"{self._path}: expected {self.spatial_dims} numbers, got {values}")
        return [values[place] for place in self._places]

    def turned_weight(self, value):
        """A kernel of the network, (outputs, inputs, ...), in the order of our axes; other weights as they are."""
        if value.ndim != self.spatial_dims + 2:
            return value
        return value.permute(0, 1, *(2 + place for place in self._places)).contiguous()

    @property
    def architecture(self):
        """The network, as newer and older versions of nnU-Net 2 state it."""
        made = self._stated.get("architecture")
        if isinstance(made, dict):
            name, arguments = str(made.get("network_class_name")), dict(made.get("arch_kwargs") or {})
            if not name.startswith("dynamic_network_architectures.") and "." in name:
                raise ConfigError(f"{self._path} names {name}, which is no network of nnU-Net: nothing of it was run")
        else:
            name, arguments = str(self._stated.get("UNet_class_name")), self._older()
        name = name.rpartition(".")[2]
        if name not in _NETWORKS:
            raise ConfigError(f"{self._path} names the network {name}: expected one of {', '.join(_NETWORKS)}")
        n_stages = int(arguments.get("n_stages") or 0)
        for key in _PER_AXIS:
            values = arguments.get(key)
            if not isinstance(values, list) or len(values) != n_stages:
                raise InputError(f"{self._path}: expected {n_stages} {key}, got {values}")
            arguments[key] = [
                self._turned([one] * self.spatial_dims if isinstance(one, int) else one) for one in values
            ]
        return Architecture(name, arguments)

    def _older(self):
        """The arguments as nnU-Net 2.3 and before derive them."""
        n = len(self._needed("conv_kernel_sizes"))
        base, most = self._needed("UNet_base_num_features"), self._needed("unet_max_num_features")
        encoder = self._needed("n_conv_per_stage_encoder")
        kind = f"{self.spatial_dims}d"
        residual = self._stated.get("UNet_class_name") == "ResidualEncoderUNet"
        return {
            "n_stages": n,
            "features_per_stage": [min(base * 2**stage, most) for stage in range(n)],
            "conv_op": f"torch.nn.Conv{kind}",
            "kernel_sizes": self._needed("conv_kernel_sizes"),
            "strides": self._needed("pool_op_kernel_sizes"),
            ("n_blocks_per_stage" if residual else "n_conv_per_stage"): encoder,
            "n_conv_per_stage_decoder": self._needed("n_conv_per_stage_decoder"),
            "conv_bias": True,
            "norm_op": f"torch.nn.InstanceNorm{kind}",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        }

    def normalisation(self, channels):
        """(schemes, masked, intensity properties), one of each per channel."""
        schemes = list(self._needed("normalization_schemes"))
        masked = [bool(flag) for flag in self._stated.get("use_mask_for_norm") or [False] * channels]
        known = self._content.get("foreground_intensity_properties_per_channel") or {}
        properties = [known.get(str(channel)) or {} for channel in range(channels)]
        if not len(schemes) == len(masked) == channels:
            raise ConfigError(f"{self._path}: expected {channels} normalization_schemes, got {schemes}")
        needed = ("mean", "std", "percentile_00_5", "percentile_99_5")
        for scheme, one in zip(schemes, properties, strict=True):
            if scheme == "CTNormalization" and not all(isinstance(one.get(key), int | float) for key in needed):
                raise ConfigError(f"{self._path} has no intensity properties, which CTNormalization needs")
        return schemes, masked, properties


def _listed(value):
    return value if isinstance(value, list | tuple) else [value]

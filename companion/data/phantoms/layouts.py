"""Writers of phantoms in the layouts of the data they stand for.

Takes a catalogue entry, its settings and a function that makes image i; writes below the given folder. The files that
hold images of a split are named by the entry's patterns, with numbers in place of the wildcards.
"""

import colorsys
import fnmatch
from pathlib import PurePosixPath

import imageio.v3 as iio
import nibabel as nib
import numpy as np
import tifffile
from scipy import ndimage

from tte.errors import InputError

__all__ = ["write_dsb2018", "write_hdf5", "write_msd", "write_pairs", "write_tiff"]


def write_pairs(entry, settings, folder, generate):
    """PNG images and label maps; every third image is a test image."""
    for part in ("images", "masks"):
        (folder / part).mkdir()
    split = {"train": [], "test": []}
    for i in range(settings["n"]):
        image, label = generate(i)
        iio.imwrite(folder / "images" / f"{i:04d}.png", image)
        iio.imwrite(folder / "masks" / f"{i:04d}.png", label)
        split["test" if i % 3 == 2 or (i == settings["n"] - 1 and not split["test"]) else "train"].append(f"{i:04d}")
    return {"task": entry.task, "labels": entry.kind, "modality": entry.modality, "n": settings["n"], "split": split}


def write_msd(entry, settings, folder, generate):
    """NIfTI volumes and label maps; channels come last, and the first two axes may run right to left, front to back."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir()
    affine, pairs = np.diag([*settings["style"]["spacing"], 1.0]), []
    classes, case = {settings.get("organ"): [settings.get("organ")]}, "patient"
    if "labels" in settings:
        affine[:2] *= -1  # the axes of these phantoms run to the left and to the back of the patient
        classes, case = settings["labels"], settings["case"]
    for i in range(settings["n"]):
        volume, label = generate(i)
        file, ids = f"{case}_{i:03d}.nii.gz", np.zeros(label.shape, np.uint8)
        for k, parts in enumerate(classes.values(), start=1):
            ids[np.isin(label, [settings["parts"].index(part) + 1 for part in parts])] = k
        nib.save(nib.Nifti1Image(volume, affine), folder / "imagesTr" / file)
        nib.save(nib.Nifti1Image(ids, affine), folder / "labelsTr" / file)
        pairs.append({"image": f"./imagesTr/{file}", "label": f"./labelsTr/{file}"})
    channels = settings.get("channels", [entry.modality])
    return {
        "tensorImageSize": "4D" if len(channels) > 1 else "3D",
        "modality": {str(k): name for k, name in enumerate(channels)},
        "labels": {"0": "background", **{str(k): name for k, name in enumerate(classes, start=1)}},
        "numTraining": len(pairs),
        "numTest": 0,
        "training": pairs,
        "test": [],
    }


def write_dsb2018(entry, settings, folder, generate):
    """A folder per image with the colour image and one 0/255 mask per object."""
    for i in range(settings["n"]):
        image, label = generate(i)
        name = f"phantom{i:04d}"
        for part in ("images", "masks"):
            (folder / "stage1_train" / name / part).mkdir(parents=True)
        iio.imwrite(folder / "stage1_train" / name / "images" / f"{name}.png", _opaque(image, image, image))
        for k in range(1, int(label.max()) + 1):
            mask = np.where(label == k, 255, 0).astype(np.uint8)
            iio.imwrite(folder / "stage1_train" / name / "masks" / f"{name}_{k:03d}.png", mask)
    return {"n": settings["n"]}


def write_hdf5(entry, settings, folder, generate):
    """Stacks (Z, H, W) under the entry's keys: a file per pattern of a split, the images dealt out over the splits."""
    import h5py  # here, so that whoever writes no HDF5 file needs no HDF5 library

    dealt, names = _dealt(entry, settings["n"]), {}
    for split in dict.fromkeys(dealt):
        names[split] = [_numbered(pattern, 0) for pattern in _patterns(entry, split, "phantom/*.h5")]
    stacks = {name: [] for files in names.values() for name in files}
    for i, split in enumerate(dealt):
        stacks[min(names[split], key=lambda name: len(stacks[name]))].append(i)
    if empty := [name for name, members in stacks.items() if not members]:
        raise InputError(f"n: {entry.name} takes more images: none is left for {', '.join(empty)}, got {len(dealt)}")
    for name, members in stacks.items():
        images, labels = zip(*map(generate, members), strict=True)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(folder / name, "w", track_order=False) as file:
            for key, pages in ((entry.keys["raw"], images), (entry.keys["label"], map(_coded(entry), labels))):
                file.create_dataset(key, data=np.stack(list(pages)), compression="gzip", track_times=False)
    return {"n": settings["n"], "stacks": {name: len(members) for name, members in stacks.items()}}


def write_tiff(entry, settings, folder, generate):
    """An image file and a label file (TIFF or PNG) for every `pages` images, where the entry's patterns say."""
    pages, split_of = settings.get("pages", 1), _dealt(entry, settings["n"])
    for i, split in enumerate(split_of):
        patterns = _patterns(entry, split, entry.images)
        image_path = _numbered(_narrowed(entry.images, patterns[i % len(patterns)]), i)
        made = [generate(i * pages + k) for k in range(pages)]
        _write_image(folder / image_path, [_coloured(entry, image) for image, _ in made])
        _write_image(folder / _paired(entry, image_path, i), [_coded(entry)(label) for _, label in made])
    return {"n": settings["n"], "pages": pages}


def _dealt(entry, n):
    """The split of each image: two for training, then one for each other split, and again; "" without splits."""
    turn = [name for name in entry.splits for _ in range(2 if name == "train" else 1)] or [""]
    if n < len(turn):
        raise InputError(
            f"n: {entry.name} takes at least {len(turn)} images for its splits {', '.join(entry.splits)}, got {n}"
        )
    return [turn[i % len(turn)] for i in range(n)]


def _patterns(entry, split, otherwise):
    return entry.splits.get(split, {}).get("files") or [otherwise]


def _narrowed(pattern, other):
    """`pattern` with each part that has a wildcard replaced by the other's part where that has none."""
    pairs = zip(PurePosixPath(pattern).parts, PurePosixPath(other).parts, strict=True)
    return "/".join(b if "*" in a and "*" not in b else a for a, b in pairs)


def _numbered(pattern, i):
    """A path that fits the pattern and holds the number of the image in the name of the file."""
    *folders, file = PurePosixPath(pattern).parts
    path = "/".join([part.replace("*", "phantom") for part in folders] + [file.replace("*", f"{i:04d}")])
    path = path.replace("?", "1")
    assert fnmatch.fnmatch(path, pattern), f"{path} does not fit {pattern}"
    return path


def _paired(entry, image_path, i):
    """The label's path: the image's folders where the pattern leaves them open, then its number or its whole name."""
    *folders, file = PurePosixPath(entry.labels).parts
    parts = [own if "*" in part else part for part, own in zip(folders, PurePosixPath(image_path).parts, strict=False)]
    name = PurePosixPath(image_path).stem if "?" in entry.images else f"{i:04d}"
    return "/".join([*parts, file.replace("*", name)])


def _coded(entry):
    """The function that turns instance ids into what the label files of the entry hold."""
    if entry.kind == "semantic" or entry.coding == "binary":
        return lambda label: (label > 0).astype(np.uint8)
    if entry.coding == "components":  # touching objects are placed one after the other, so that their values differ
        return lambda label: _opaque((label - (label > 0)) % 255 + (label > 0), 0 * label, 0 * label)
    if entry.coding == "rgb":
        return lambda label: _palette(int(label.max()))[label]
    return lambda label: label


def _palette(number):
    """Distinct colours of the ids, black for 0; hues a golden angle apart, lightness that steps with each round."""
    colours = [(0, 0, 0)]
    for k in range(number):
        red, green, blue = colorsys.hsv_to_rgb(k * 0.381966 % 1, 0.5 + 0.05 * (k % 11), 1 - 0.07 * (k % 7))
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    assert len(set(colours)) == len(colours), "two objects of one colour"
    return np.array(colours, np.uint8)


def _coloured(entry, image):
    """The image, or where the entry reads one channel of a colour image, that channel beside a cytoplasm stain."""
    if entry.channel is None:
        return image
    colour = np.zeros((*image.shape, 3), np.uint8)
    colour[..., 0] = np.clip(2 * ndimage.gaussian_filter(image.astype(float), 8), 0, 255)
    colour[..., entry.channel] = image
    return colour


def _opaque(red, green, blue):
    """(H, W) three times → (H, W, 4) with full opacity."""
    return np.stack([red, green, blue, np.full(np.shape(red), 255)], axis=-1).astype(np.uint8)


def _write_image(path, pages):
    path.parent.mkdir(parents=True, exist_ok=True)
    stack = pages[0] if len(pages) == 1 else np.stack(pages)
    if path.suffix == ".png":
        iio.imwrite(path, stack)
    else:
        tifffile.imwrite(path, stack, photometric="rgb" if stack.shape[-1] == 3 else "minisblack", metadata=None)

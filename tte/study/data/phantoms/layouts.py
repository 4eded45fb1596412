"""Writers of phantoms in the layouts of the data they stand for.

Takes a catalogue entry, its settings and a function that makes image i; writes below the given folder.
"""

import imageio.v3 as iio
import nibabel as nib
import numpy as np

__all__ = ["write_msd", "write_pairs"]


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
    return {"tensorImageSize": "4D" if len(channels) > 1 else "3D",
            "modality": {str(k): name for k, name in enumerate(channels)},
            "labels": {"0": "background", **{str(k): name for k, name in enumerate(classes, start=1)}},
            "numTraining": len(pairs), "numTest": 0, "training": pairs, "test": []}

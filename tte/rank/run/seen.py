"""Images as they go into a model, gone through as often as it takes: a folder's, or what one model sees of them.

Reads the files of one folder.
"""

__all__ = ["FolderImages", "Seen"]


class FolderImages:
    """The images of a folder, read one by one each time they are gone through.

    Parameters
    ----------
    dataset : Dataset
        As `open_folder` gives it, with all channels; labels are not read.
    """

    def __init__(self, dataset):
        self._dataset, self._cases = dataset, dataset.cases(labelled=False)

    def __len__(self):
        return len(self._cases)

    def __iter__(self):
        return (self._dataset.read(case) for case in self._cases)


class Seen:
    """The channels of images that go into a model, anew each time they are gone through.

    Parameters
    ----------
    model : tte.zoo.model.Model
    images : iterable of Sample or ndarray
    """

    def __init__(self, model, images):
        self._model, self._images = model, images

    def __iter__(self):
        return (self._model.seen(image) for image in self._images)

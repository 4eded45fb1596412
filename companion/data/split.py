"""Which cases train, fine-tune and test: disjoint parts, the same whatever the order of the cases.

Reads and writes nothing.
"""

import numpy as np

from tte.errors import InputError

__all__ = ["divided", "split_cases"]


def divided(cases, split, *, seed=0):
    """Return the "train" or "test" cases of a dataset that comes without a split, roughly 80 to 20.

    Whole files are drawn, so that the slices and tiles of one stack stay together.

    Parameters
    ----------
    cases : sequence of Case
    split : {"train", "test"}
    seed : int

    Returns
    -------
    tuple of Case
        In the order given; a fifth of the files is for testing, at least one. Who is drawn depends neither on that
        order nor on where the files lie.

    Raises
    ------
    InputError       fewer than two files, or another split.

    References
    ----------
    The CTE paper, section 3.1, divides datasets without a split in this proportion; its draw is not published.

    Examples
    --------
    >>> from tte.images import Case
    >>> cases = [Case(name, f"{name}.png", f"{name}_mask.png") for name in "abcde"]
    >>> [case.id for case in divided(cases, "test")], [case.id for case in divided(cases, "train")]
    (['c'], ['a', 'b', 'd', 'e'])
    """
    if split not in ("train", "test"):
        raise InputError(f"split: expected train or test, got {split!r}")
    first = {case.image: case.id for case in sorted(cases, key=lambda case: case.id, reverse=True)}  # id of a file
    if len(first) < 2:
        raise InputError(f"expected at least two files to divide into train and test, got {len(first)}")
    order = np.random.default_rng(seed).permutation(sorted(first.values())).tolist()
    tested = set(order[: max(1, round(len(order) / 5))])
    return tuple(case for case in cases if (first[case.image] in tested) == (split == "test"))


def split_cases(ids, split):
    """Divide case ids into disjoint parts, the same whatever the order of `ids`.

    Parameters
    ----------
    ids : iterable of str
    split : companion.config.Split

    Returns
    -------
    dict of str → tuple of str
        "test", "finetune" and "pretrain"; the remainder is left out.

    Raises
    ------
    InputError       fewer ids than the parts need.
    """
    ids = sorted(ids)
    sizes = {"test": split.test, "finetune": split.finetune, "pretrain": split.pretrain}
    if len(ids) < sum(sizes.values()):
        raise InputError(f"split needs {sizes} = {sum(sizes.values())} cases, got {len(ids)}")
    order = iter(np.random.default_rng(split.seed).permutation(ids).tolist())
    return {part: tuple(sorted(next(order) for _ in range(size))) for part, size in sizes.items()}

"""nbval compares texts; here a text whose numbers agree with the golden one counts as that one."""

from golden_numbers import settled
from nbval.plugin import IPyNbCell, transform_streams_for_comparison

_compare = IPyNbCell.compare_outputs


def _compare_settled(self, test, ref, skip_compare=None):
    """Compare the outputs of a cell as nbval does, after `settled`."""
    test, ref = transform_streams_for_comparison(test), transform_streams_for_comparison(ref)
    if len(test) == len(ref):
        for ours, theirs in zip(test, ref, strict=True):
            if isinstance(ours.get("text"), str) and isinstance(theirs.get("text"), str):
                ours["text"] = settled(ours["text"], theirs["text"])
    return _compare(self, test, ref, skip_compare)


IPyNbCell.compare_outputs = _compare_settled

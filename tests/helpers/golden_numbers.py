"""Two printed texts that say the same up to the last digits of another machine.

A decimal may differ by 1e-3, of itself where it is above 1 (CC-FV, LogME); words and integers, so ranks and counts,
may not differ at all.
"""

import re

__all__ = ["TOLERANCE", "settled"]

TOLERANCE = 1e-3  # absolute for numbers up to 1, scores among them, relative above
_DECIMAL = re.compile(r"(?<![\w.])[-+−]?\d+\.\d+(?:e[-+]?\d+)?(?![\w.])")


def settled(text, reference):
    """Return `text` with every line that agrees with its line in the reference replaced by that line.

    >>> settled("F1 0.9004 rank 1", "F1 0.9001 rank 1")
    'F1 0.9001 rank 1'
    >>> settled("F1 0.9012 rank 1", "F1 0.9001 rank 1"), settled("F1 0.9001 rank 2", "F1 0.9001 rank 1")
    ('F1 0.9012 rank 1', 'F1 0.9001 rank 2')
    """
    lines, wanted = text.split("\n"), reference.split("\n")
    if len(lines) != len(wanted):
        return text
    return "\n".join(there if _agree(here, there) else here for here, there in zip(lines, wanted, strict=True))


def _agree(line, reference):
    words = [" ".join(_DECIMAL.sub("#", part).split()) for part in (line, reference)]
    if words[0] != words[1]:
        return False
    numbers = [[float(x.replace("−", "-")) for x in _DECIMAL.findall(part)] for part in (line, reference)]
    return all(abs(a - b) <= TOLERANCE * max(1.0, abs(b)) for a, b in zip(*numbers, strict=True))

"""Sentences about the order of fine-tuned models and what scores make of it, each with its condition.

Takes tables of `companion.analysis.order`; returns text.
"""

import numpy as np

__all__ = ["surface_order", "untrained_ahead", "whole_order"]


def surface_order(voxels, taus):
    """Return what surface Dice is, and how far its order of the models is that of Dice.

    Parameters
    ----------
    voxels : float; the tolerance
    taus : sequence of float; τ-b between the two orders, one per target, NaN where there is none

    Examples
    --------
    >>> print(surface_order(2, [0.7, 0.9]))
    Measured by surface Dice, the share of the two surfaces that lies within 2 voxels of the other, the models come in \
    an order that agrees with that of Dice at τ = 0.70 to 0.90.
    """
    low, high = np.nanmin(taus), np.nanmax(taus)
    reached = f"{low:.2f}" if len(taus) == 1 else f"{low:.2f} to {high:.2f}"
    return (
        f"Measured by surface Dice, the share of the two surfaces that lies within {voxels:g} "
        f"voxel{'s' if voxels != 1 else ''} of the other, the models come in an order that agrees with that of Dice at "
        f"τ = {reached}."
    )


def whole_order(found, seeds):
    """Return what becomes of Dice and of the models' order by it on whole volumes, from `order.on_whole_volumes`.

    >>> print(whole_order({"Brainstem": (0.4, 0.2, 0.81, 0.9)}, 3))
    A box around the organ hides what a model marks elsewhere. On whole volumes, over 3 seeds, the mean Dice is: \
    Brainstem 0.20 (0.40 in boxes; ICC 0.90, the order that of the boxes at τ = 0.81).
    """
    said = [
        f"{target} {whole:.2f} ({boxes:.2f} in boxes; ICC {repeats:.2f}, the order that of the boxes at τ = {tau:.2f})"
        for target, (boxes, whole, tau, repeats) in found.items()
    ]
    alike = min(tau for _, _, tau, _ in found.values()) >= 0.5
    another = "" if alike else " So the best model in a box need not be the best on a volume."
    hides = "A box around the organ hides what a model marks elsewhere."
    return f"{hides} On whole volumes, over {seeds} seeds, the mean Dice is: {'; '.join(said)}.{another}"


def untrained_ahead(orders, way, close=2):
    """Return on which targets a network that was never trained is the best or near it, or that it is on none.

    Near is a lead of the best model that is below `close` standard errors of the paired seeds.

    Parameters
    ----------
    orders : dict of str to (DataFrame, sequence); by target, Dice of models and seeds, and which were never trained
    way : str; how they were fine-tuned
    """
    said = []
    for target, (dice, untrained) in orders.items():
        mean = dice.mean(axis=1)
        best, drawn = mean.idxmax(), mean[list(untrained)].idxmax()
        lead = dice.loc[best] - dice.loc[drawn]
        if best == drawn:
            said.append(f"on {target} one that was never trained is the best of {len(dice)} models")
        elif lead.mean() < close * lead.std(ddof=1) / np.sqrt(len(lead)):
            place = int((mean > mean[drawn]).sum()) + 1
            said.append(
                f"on {target} one that was never trained is number {place} of {len(dice)}, {lead.mean():.3f} of Dice "
                f"behind the best, which is less than {close} standard errors over {len(lead)} seeds"
            )
    if not said:
        return f"With {way}, every network that was never trained is clearly behind the best model on every target."
    return f"With {way}, a network need not have been trained before to fine-tune well: {'; '.join(said)}."

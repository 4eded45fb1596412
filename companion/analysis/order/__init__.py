"""The order of a bank by fine-tuned Dice: how far it repeats itself, and what the scores reach of it."""

from companion.analysis.order.compare import compared, lost_in_ways
from companion.analysis.order.names import learned, short_name
from companion.analysis.order.reach import cost_of, over_targets, primary, score_table, scores_on_whole, seconds_of
from companion.analysis.order.repeat import (
    Order,
    beside,
    dice_of,
    on_whole_volumes,
    order_of,
    order_table,
    untrained_models,
)

__all__ = [
    "Order",
    "beside",
    "compared",
    "cost_of",
    "dice_of",
    "learned",
    "lost_in_ways",
    "on_whole_volumes",
    "order_of",
    "order_table",
    "over_targets",
    "primary",
    "score_table",
    "scores_on_whole",
    "seconds_of",
    "short_name",
    "untrained_models",
]

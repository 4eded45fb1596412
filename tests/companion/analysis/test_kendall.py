"""Agreement of two orders: with an order, and with none."""

import numpy as np
import pytest

from companion.analysis.kendall import kendall


def test_one_pair_of_three_the_wrong_way_round():
    assert kendall([1.0, 2.0, 3.0], [0.1, 0.3, 0.2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("values", [([1.0, np.nan], [1.0, 2.0]), ([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0])])
def test_no_order_is_no_number(values):
    assert np.isnan(kendall(*values))

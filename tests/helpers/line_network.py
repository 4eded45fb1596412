"""The smallest network whose output can be said beforehand."""

import torch


class Line(torch.nn.Module):
    """weight · x + bias, perhaps with a sigmoid behind it."""

    def __init__(self, weight=8.0, bias=-4.0, squash: bool = False):
        super().__init__()
        self.conv, self.squash = torch.nn.Conv2d(1, 1, 1), squash
        torch.nn.init.constant_(self.conv.weight, weight)
        torch.nn.init.constant_(self.conv.bias, bias)

    def forward(self, x):
        y = self.conv(x)
        return torch.sigmoid(y) if self.squash else y

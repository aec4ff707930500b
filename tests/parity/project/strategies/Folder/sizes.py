"""A strategy's own module."""

QTY = 0.5

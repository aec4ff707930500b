"""Market time: spans in milliseconds, and one-minute candles in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Milliseconds.
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

#: One-minute candles, a row each, in Jesse's order: the time it opens (milliseconds), open, close, high, low, volume.
Rows = NDArray[np.float64]

"""What works without a daemon: `jesse-paper run-paper` and `jesse-paper candles`."""

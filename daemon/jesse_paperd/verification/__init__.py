"""Running a session's candles through `jesse.research.backtest` and comparing, in a process of its own."""

"""Never trades; notes the flags and the candles that each hook is shown."""

from jesse.strategies import Strategy


class Watcher(Strategy):
    notes = []

    def __init__(self):
        super().__init__()
        self.charted = 0

    def before(self):
        self.notes.append(
            {
                "time": int(self.time),
                "flags": (self.is_papertrading, self.is_live, self.is_backtesting, self.is_livetrading),
                "name": self.name,
                "class": type(self).__name__,
                "module": type(self).__module__,
                "candles": self.candles.copy(),
                "charted": self.charted,
            }
        )

    def update_chart(self):
        self.charted += 1

    def should_long(self):
        return False

    def go_long(self):
        pass

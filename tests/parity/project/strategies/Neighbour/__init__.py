"""A gambler that minds the other routes: it looks at their positions, shares what it knows, and answers their moves."""

from strategies.Gambler import Gambler


class Neighbour(Gambler):
    def before(self):
        self.shared_vars[self.symbol] = float(self.price)
        type(self).notes.append(
            (
                float(self.time),
                "neighbours",
                sorted((symbol, float(p.qty), float(p.pnl), p.type) for symbol, p in self.all_positions.items()),
                dict(sorted(self.shared_vars.items())),
                [(route.symbol, float(route.strategy.price)) for route in self.routes],
            )
        )
        super().before()

    def should_long(self):
        # Not beside more than two others.
        return super().should_long() and sum(p.is_open for p in self.all_positions.values()) < 3

    def answer(self, hook, strategy):
        self.note(f"{hook} {strategy.symbol}", with_candles=False)
        if not self.position.is_open or self.is_spot_trading:
            return
        move = self.dice.random()
        direction = 1 if self.is_long else -1
        if move < 0.3:
            self.stop_loss = abs(self.position.qty), self.price - direction * self.range * 0.3
        elif move < 0.5:
            self.take_profit = abs(self.position.qty), self.price + direction * self.range * 0.3
        elif move < 0.55:
            self.liquidate()

    def on_route_open_position(self, strategy):
        self.answer("opened", strategy)

    def on_route_close_position(self, strategy):
        self.answer("closed", strategy)

    def on_route_increased_position(self, strategy):
        self.answer("increased", strategy)

    def on_route_reduced_position(self, strategy):
        self.answer("reduced", strategy)

    def on_route_canceled(self, strategy):
        self.answer("canceled", strategy)

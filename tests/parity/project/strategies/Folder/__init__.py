"""Its class is not called like its folder, and it imports from its package and from its project."""

from jesse.strategies import Strategy
from rules import every

from .sizes import QTY


class Base(Strategy):
    def go_long(self):
        self.buy = QTY, self.price


class Alternator(Base):
    def should_long(self):
        return every(self.index, 3)

    def update_position(self):
        self.liquidate()

"""The strategies of the Jesse project."""

from __future__ import annotations

from msgspec import Struct

from jesse_paper.operations.operation import Answer, Question, declare


class Hyperparameter(Struct, kw_only=True, frozen=True):
    """A hyperparameter as the strategy's source declares it; what is computed there is null."""

    name: str
    type: str = ""
    default: int | float | str | bool | None = None
    min: int | float | None = None
    max: int | float | None = None
    options: list[int | float | str | bool] | None = None


class Strategy(Struct, kw_only=True, frozen=True):
    """A strategy of the project, read from its source without running it."""

    name: str
    description: str = ""
    hyperparameters: list[Hyperparameter] = []
    goes_short: bool = False
    problem: str = ""


class Strategies(Answer, tag="strategies", frozen=True):
    """The strategies of the Jesse project, and the timeframes each can be started with."""

    project: str
    strategies: list[Strategy]
    timeframes: list[str] = []
    hint: str = ""


class PaperListStrategies(Question[Strategies], tag="paper_list_strategies", frozen=True):
    """The strategies of the Jesse project, as their source describes them."""


declare(
    PaperListStrategies(),
    Strategies(
        project="/home/ada/project",
        strategies=[
            Strategy(
                name="DayTrader",
                description="Buys dips and sells rallies within the day, with resting orders, and is out by the end "
                "of it.",
                hyperparameters=[
                    Hyperparameter(name="period", type="int", default=20, min=10, max=60),
                    Hyperparameter(name="width", type="float", default=1.6, min=1, max=3),
                    Hyperparameter(name="risk", type="float", default=0.0075, min=0.001, max=0.05),
                    Hyperparameter(name="last_entry", type="int", default=1260, min=60, max=1380),
                    Hyperparameter(name="close_at", type="int", default=1410, min=120, max=1440),
                ],
                goes_short=True,
            ),
            Strategy(
                name="SMACrossover",
                description="Follows the trend while a fast moving average is on the right side of a slow one.",
                hyperparameters=[
                    Hyperparameter(name="fast", type="int", default=8, min=3, max=50),
                    Hyperparameter(name="slow", type="int", default=21, min=10, max=200),
                    Hyperparameter(name="risk", type="float", default=0.01, min=0.001, max=0.05),
                    Hyperparameter(name="stop_atr", type="float", default=2.5, min=0.5, max=6),
                    Hyperparameter(name="reward", type="float", default=2, min=0.5, max=10),
                ],
                goes_short=True,
            ),
        ],
        timeframes=[
            "1m",
            "3m",
            "5m",
            "15m",
            "30m",
            "45m",
            "1h",
            "2h",
            "3h",
            "4h",
            "6h",
            "8h",
            "12h",
            "1D",
            "3D",
            "1W",
            "1M",
        ],
    ),
)

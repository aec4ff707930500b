"""The strategies of the Jesse project."""

from __future__ import annotations

from pathlib import Path

from jesse_paper import protocol as wire
from jesse_paperd.records.spec import TIMEFRAME_MINUTES
from jesse_paperd.service.handlers.handler import handles
from jesse_paperd.service.parts import Parts
from jesse_paperd.strategies.outline import outline
from jesse_paperd.strategies.project import available


@handles(wire.PaperListStrategies)
async def list_strategies(parts: Parts, _body: wire.PaperListStrategies, _request_id: str) -> wire.Strategies:
    project = Path(parts.config.project)

    def outlines() -> list[wire.Strategy]:
        return [outline(project, name) for name in available(project)]

    strategies = await parts.workers.load(outlines)
    hint = "" if strategies else "set JESSE_PAPER_PROJECT to a Jesse project: a folder with strategies/<Name>/"
    return wire.Strategies(
        project=parts.config.project, strategies=strategies, timeframes=list(TIMEFRAME_MINUTES), hint=hint
    )

"""What a fuzz campaign once found, or might have: tried again, it is refused or understood, never a defect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.fuzz import CORPUS, talkative, try_candles, try_frame


def kept(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


@pytest.mark.parametrize("path", kept("frames"), ids=lambda path: path.stem)
def test_a_frame_of_the_corpus_is_refused_or_understood(path: Path) -> None:
    assert try_frame(path.read_bytes()) in ("refused", "understood")


@pytest.mark.parametrize("path", kept("candle-files"), ids=lambda path: path.stem)
def test_a_candle_file_of_the_corpus_is_invalid_or_read(path: Path) -> None:
    assert try_candles(path.read_bytes(), f"a{path.name[path.name.index('.') :]}") in ("candles_invalid", "read")


def test_the_facade_answers_after_each_line_of_the_corpus() -> None:
    with talkative() as facade:
        for path in kept("MCP-lines"):
            assert facade.told(path.read_bytes()) == "answered", path.name

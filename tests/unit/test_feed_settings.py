"""The feed's section of the configuration: what is refused, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from jesse_paper.errors import PaperError
from jesse_paperd.config import read_document
from jesse_paperd.feed.settings import ExchangeSettings, settings_of


def load(file: Path) -> dict[str, ExchangeSettings]:
    """The section of a file, as the feed reads it."""
    return settings_of(read_document(file).get("exchanges", {}), str(file))


def test_a_missing_file_sets_nothing_and_names_become_jesses(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == {}
    file = tmp_path / "config.toml"
    file.write_text('home = "/elsewhere"\n[exchanges."binance spot"]\nurls = "http://127.0.0.1:8080"\n')
    settings = load(file)
    assert list(settings) == ["Binance Spot"]
    assert settings["Binance Spot"].urls == "http://127.0.0.1:8080"
    file.write_text('[exchanges."Gate Spot".urls.public]\nspot = "http://127.0.0.1:8080"\n')
    assert load(file)["Gate Spot"].urls == {"public": {"spot": "http://127.0.0.1:8080"}}


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ('[exchanges."Binanse Spot"]\nurls = "http://127.0.0.1:1"', "Binanse"),
        ('[exchanges."Binance Spot"]\napiKey = "secret"', "apiKey"),
        ('[exchanges."Binance Spot"]\ntimeout_seconds = -1', "timeout_seconds"),
        ('[exchanges."Binance Spot"]\nweight_per_minute = 0', "weight_per_minute"),
        ("exchanges = 3", "exchanges"),
        ("[exchanges]\nBinance = 3", "Binance"),
        ("[exchanges", "no TOML at"),
    ],
)
def test_what_is_not_valid_is_refused_by_name(tmp_path: Path, written: str, complaint: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(written)
    with pytest.raises(PaperError, match=complaint) as refused:
        load(file)
    assert refused.value.code == "invalid_argument"
    assert str(file) in refused.value.message
    assert "secret" not in refused.value.message

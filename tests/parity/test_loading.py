"""Strategies are loaded as they are, from their own files, which are never touched; what cannot load says why."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.parity.candles import Generated
from tests.parity.case import PROJECT, Case
from tests.parity.worker import Worker

LOADS = "tests.parity.scenarios:loads"
HEAD = "from jesse.strategies import Strategy\n\n\nclass {name}(Strategy):\n"
WHOLE = HEAD + "    def should_long(self): return False\n    def go_long(self): pass\n"


def project(root: Path, name: str, source: str) -> Path:
    (root / "strategies" / name).mkdir(parents=True)
    (root / "strategies" / name / "__init__.py").write_text(source)
    return root


def digest(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_class_with_another_name_than_its_folder_and_modules_of_its_own(jesse: Worker) -> None:
    before = digest(PROJECT)
    assert jesse.call(LOADS, PROJECT, "Folder") == ("", "Alternator")
    case = Case("Folder", {"BTC-USDT": Generated(91, 600).rows()}, project=PROJECT, timeframe="5m")
    verdict = jesse.call("tests.parity.lab:compare", case)
    assert verdict.kind == "equal", verdict
    assert verdict.trades > 10
    assert digest(PROJECT) == before


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import nothing_like_this\n", "strategy 'Broken' could not be imported: ModuleNotFoundError"),
        ("def broken(:\n", "strategy 'Broken' could not be imported: SyntaxError"),
        ("raise SystemExit(3)\n", "could not be imported: SystemExit: 3; the strategy ended the process itself"),
        ("x = 1\n", "strategies/Broken/__init__.py defines no strategy"),
        (WHOLE.format(name="One") + "\n\nclass Two(One): pass\n\n\nclass Three(One): pass\n", "Three, Two"),
        (HEAD.format(name="Broken") + "    pass\n", "lacks the mandatory methods go_long, should_long"),
        (WHOLE.format(name="Broken") + "    def __init__(self): raise ValueError('no luck')\n", "ValueError: no luck"),
        (WHOLE.format(name="Broken") + "    def __init__(self, more): pass\n", "TypeError"),
        (WHOLE.format(name="Broken") + "    def hyperparameters(self): return 1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_what_is_wrong_is_said(jesse: Worker, tmp_path: Path, source: str, complaint: str) -> None:
    code, message = jesse.call(LOADS, project(tmp_path, "Broken", source), "Broken")
    assert code == "strategy_failed"
    assert complaint in message
    assert "\n" not in message


def test_hyperparameters_override_the_defaults_and_must_exist(jesse: Worker) -> None:
    assert jesse.call(LOADS, PROJECT, "Gambler", hyperparameters={"eager": 0.9}) == ("", "Gambler")
    code, message = jesse.call(LOADS, PROJECT, "Gambler", hyperparameters={"eagre": 0.9})
    assert code == "invalid_argument"
    assert "'eagre'" in message


def test_another_version_of_jesse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from jesse_paper.errors import PaperError
    from jesse_paperd.engine.jesse import version as jesse_version

    jesse_version.require_jesse()
    monkeypatch.setattr(jesse_version, "version", lambda _name: "3.6.0")
    with pytest.raises(PaperError, match=r"jesse 3\.6\.0 is installed, but the engine is exact for 3\.5\.3") as raised:
        jesse_version.require_jesse()
    assert raised.value.code == "engine_unavailable"

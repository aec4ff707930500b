"""The distribution installs as the README says: small without the extra, whole with it, with no override."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_setup_refuses_an_interpreter_that_is_not_supported(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "requirements/dev.lock", "scripts/setup"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    environment = {**os.environ, "PYTHON": "/bin/false"}
    done = subprocess.run(
        [tmp_path / "scripts" / "setup"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "/bin/false is no Python 3.11 or 3.12" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_wheel_has_three_packages_three_commands_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next(n for n in names if n.endswith("entry_points.txt"))
        commands = {line.split(" =")[0] for line in archive.read(entry_points).decode().splitlines() if " = " in line}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "jesse_paper",
        "jesse_paper_mcp",
        "jesse_paperd",
    }
    assert commands == {"jesse-paper", "jesse-paper-mcp", "jesse-paperd"}


@pytest.mark.packaging
def test_a_plain_install_gives_facade_and_cli_without_numpy_or_jesse(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    installed = run(python, "-m", "pip", "list", "--format=freeze").lower()
    assert not any(name in installed for name in ("numpy==", "jesse==", "ccxt==", "matplotlib=="))
    assert len(installed.splitlines()) < 60
    assert "jesse-paper" in run(tmp_path / "venv" / "bin" / "jesse-paper", "--help", cwd=tmp_path)
    run(python, "-c", "import jesse_paper_mcp.server", cwd=tmp_path)


@pytest.mark.packaging
@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_the_engine_extra_resolves_without_an_override(wheel: Path, tmp_path: Path, version: str) -> None:
    (tmp_path / "in.txt").write_text(f"jesse-paper[engine] @ {wheel.as_uri()}\n")
    uv = Path(sys.executable).parent / "uv"
    resolved = run(uv, "pip", "compile", "--quiet", "--python-version", version, tmp_path / "in.txt")
    assert "jesse==3.5.3" in resolved
    assert "mcp==1.28.1" in resolved

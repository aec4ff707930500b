"""Writes docs/faults.md from a run: everything is killed many times, then broken in every way the tests know.

scripts/faults 1000 [--seed S], or scripts/faults --report FILE with what scripts/crashloop --report FILE wrote.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from tests.support.daemon import ROOT

PAGE = ROOT / "docs" / "faults.md"


class Fault(NamedTuple):
    """What one test did, in how many variants, and how many of them held or could not be tried here."""

    sentence: str
    times: int
    held: int
    skipped: int

    @property
    def outcome(self) -> str:
        if self.held + self.skipped < self.times:
            return f"**failed {self.times - self.held - self.skipped}**"
        return "held" if not self.skipped else f"held {self.held}, not tried here {self.skipped}"


def kill(kills: int, seed: list[str], folder: Path) -> Path:
    report = folder / "kills.json"
    command = [sys.executable, "-m", "tests.faults.crashloop", str(kills), *seed, "--report", str(report)]
    subprocess.run(command, cwd=ROOT, check=False)
    return report


def fuzz(kills: int, folder: Path) -> Path:
    """As many damaged databases and files as processes are killed, and a thousand times as many frames."""
    report = folder / "fuzz.json"
    counts = [
        "--frames",
        str(1000 * kills),
        "--lines",
        str(100 * kills),
        "--databases",
        str(10 * kills),
        "--files",
        str(10 * kills),
    ]
    subprocess.run(
        [sys.executable, "-m", "tests.security.fuzz", *counts, "--report", str(report)], cwd=ROOT, check=False
    )
    return report


def break_everything(folder: Path) -> tuple[ElementTree.Element, int]:
    results = folder / "faults.xml"
    options = ["-n", "3", "--dist", "loadfile", "-m", "", f"--junitxml={results}", "-o", "junit_family=xunit1"]
    status = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/faults", "tests/security"], cwd=ROOT, check=False
    )
    return ElementTree.parse(results).getroot(), status.returncode


def faults(results: ElementTree.Element) -> dict[str, list[Fault]]:
    """By test file, in the order of the file names."""
    cases: dict[tuple[str, str], list[ElementTree.Element]] = defaultdict(list)
    for case in results.iter("testcase"):
        cases[case.get("file", ""), case.get("name", "").split("[")[0]].append(case)
    found: dict[str, list[Fault]] = defaultdict(list)
    for (file, name), variants in sorted(cases.items()):
        skipped = sum(case.find("skipped") is not None for case in variants)
        broken = sum(case.find("failure") is not None or case.find("error") is not None for case in variants)
        sentence = name.removeprefix("test_").replace("_", " ")
        found[file].append(Fault(sentence, len(variants), len(variants) - skipped - broken, skipped))
    return found


def steps(results: ElementTree.Element) -> dict[str, int]:
    """What the state machine did, and how often."""
    done: dict[str, int] = defaultdict(int)
    for case in results.iter("testcase"):
        if "state_machine" in case.get("file", ""):
            for step in case.iter("property"):
                done[step.get("name", "")] += int(step.get("value", "0"))
    return dict(sorted(done.items()))


PAGE_TEXT = """\
# What was done to it, and what was lost

Written by `scripts/faults` on {today} ({machine}); not by hand.

## Killed, again and again

Sessions replay real candles, and follow a stand-in exchange, while SIGKILL strikes at random moments and at named
ones. Afterwards each session is run once more, undisturbed, and every row of its journal (orders, trades, equity,
daily balances) is compared. `scripts/crashloop {kills} --seed {seed}` ended with

> kills={kills} sessions={sessions} lost={lost} doubled={doubled} seed={seed}

after comparing {rows:,} rows.

{struck}

## Damaged at random

Frames are changed by a few bytes and sent through the decoder; one bit is flipped in a registry or a journal, and
everything is asked of the home; candle files are changed by a few bytes and read. *Unhandled* is an error that nobody
expected, *silent* an answer that changed without a word. `scripts/fuzz` repeats it with `--seed {fuzz_seed}`.

{fuzzed}

## Any step after any other

A state machine takes random steps, and checks the invariants of [architecture.md](architecture.md) after each:
`scripts/test tests/faults/test_state_machine.py`, with `TEST_MARKERS=slow` the long form.

{steps}

## One fault at a time

Each sentence is the name of a test, and what it asserts; `scripts/test FILE` repeats it. *Held* means that the
sentence was true, and that nothing was lost.
"""


def page(kills: dict[str, Any], fuzzed: list[dict[str, Any]], results: ElementTree.Element) -> str:
    struck = [(*what.split(", ", 1), times) for what, times in kills["by"].items()]
    text = PAGE_TEXT.format(
        **kills
        | {
            "today": datetime.datetime.now(datetime.UTC).date(),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, Jesse {version('jesse')}",
            "struck": table("SIGKILL to", "when", "times", struck),
            "fuzzed": table("damaged", "times", "unhandled", "silent", [_fuzzed(each) for each in fuzzed]),
            "fuzz_seed": fuzzed[0]["seed"],
            "steps": table("step", "times", steps(results).items()),
        }
    )
    for file, found in faults(results).items():
        name = Path(file).stem.removeprefix("test_").replace("_", " ").capitalize()
        rows = [(fault.sentence, fault.times, fault.outcome) for fault in found]
        text += f"\n### {name}: `{file}`\n\n{table('fault', 'times', 'outcome', rows)}\n"
    return text


def _fuzzed(campaign: dict[str, Any]) -> tuple[str, str, int, int]:
    return campaign["name"], f"{campaign['tried']:,}", campaign.get("unhandled", 0), campaign.get("silent", 0)


def table(*columns_and_rows: Any) -> str:
    """A Markdown table: names of columns, then the rows; numbers to the right."""
    *columns, rows = columns_and_rows
    rules = ["---:" if name == "times" else "---" for name in columns]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [columns, rules, *rows])


def main() -> int:
    parser = argparse.ArgumentParser(description="Break everything, and write docs/faults.md.")
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--report", type=Path, help="of a crash loop that was run before")
    parser.add_argument("--fuzzed", type=Path, help="what `scripts/fuzz --report FILE` wrote before")
    arguments = parser.parse_args()
    seed = ["--seed", arguments.seed] if arguments.seed is not None else []
    with tempfile.TemporaryDirectory() as folder:
        report = arguments.report or kill(arguments.kills, seed, Path(folder))
        kills = json.loads(report.read_text())
        fuzzed = arguments.fuzzed or fuzz(arguments.kills, Path(folder))
        results, failed = break_everything(Path(folder))
        PAGE.write_text(page(kills, json.loads(fuzzed.read_text()), results))
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return failed or bool(kills["defects"] or kills["lost"] or kills["doubled"])


if __name__ == "__main__":
    sys.exit(main())

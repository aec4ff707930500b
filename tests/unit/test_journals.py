"""Readers of journals are closed when they are dropped, and not under anybody who reads."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from jesse_paperd.core.layout import Layout
from jesse_paperd.records.journal import Facts, Journal, Progress
from jesse_paperd.service.journals import Journals


def journal(layout: Layout, session_id: str, candles: int) -> None:
    files = layout.session(session_id)
    files.root.mkdir(parents=True, exist_ok=True)
    made = Journal(files.journal)
    made.commit(Facts(), Progress(candles=candles))
    made.close()


def open_files(folder: Path) -> int:
    """How many of this process's descriptors are of files below a folder."""
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return sum(str(link.resolve()).startswith(str(folder)) for link in links if link.is_symlink())


def test_a_dropped_ledger_leaves_no_file_open(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    journals = Journals(layout)
    for n in range(20):
        journal(layout, "one", n)
        with journals.read("one", 1.0) as view:
            assert view.reader.progress() == Progress(candles=n)
        assert open_files(tmp_path)
        journals.drop("one")
        assert open_files(tmp_path) == 0


def test_a_journal_in_the_place_of_another_leaves_the_first_ones_reader_closed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    journals = Journals(layout)
    counts = set()
    for n in range(5):
        journal(layout, "other", n)
        layout.session("other").journal.rename(tmp_path / "new")
        layout.session("one").root.mkdir(exist_ok=True)
        (tmp_path / "new").rename(layout.session("one").journal)
        with journals.read("one", 1.0) as view:
            assert view.reader.progress() == Progress(candles=n)
        counts.add(open_files(tmp_path))
    assert len(counts) == 1


def test_who_reads_a_ledger_that_is_dropped_meanwhile_reads_on_and_who_waits_for_it_gets_another(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    journal(layout, "one", 7)
    journals = Journals(layout)
    answers: list[Progress | None] = []

    def ask() -> None:
        with journals.read("one", 1.0) as view:
            answers.append(view.reader.progress())

    with journals.read("one", 1.0) as view:
        waiting = threading.Thread(target=ask)
        waiting.start()
        journals.drop("one")
        assert view.reader.progress() == Progress(candles=7)
    waiting.join()
    assert answers == [Progress(candles=7)]
    journals.drop("one")
    assert open_files(tmp_path) == 0

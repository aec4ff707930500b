"""Every metric is defined, once."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from jesse_paper.metric_definitions import DEFINITIONS, REASONS, VERSION, markdown
from jesse_paper.protocol import Metrics, Undefined

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_every_field_of_the_reply_has_a_definition_and_nothing_else_has():
    assert set(DEFINITIONS) == set(Metrics.__struct_fields__)


def test_every_reason_of_the_wire_is_explained_and_used():
    assert set(REASONS) == set(get_args(Undefined))
    assert set(REASONS) == {reason for definition in DEFINITIONS.values() for reason in definition.undefined}


def test_the_document_has_the_definitions_of_the_code():
    text = DOCUMENT.read_text()
    assert markdown() in text, "run: python -m jesse_paper.metric_definitions, and paste it into docs/metrics.md"
    assert f"(`definition`, now {VERSION})" in text

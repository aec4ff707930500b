"""What a zygote forks in the place of a verification: it finds as many trades as it was run times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def main(arguments: dict[str, Any]) -> int:
    count = Path(arguments["home"]) / "count"
    runs = 1 + (int(count.read_text()) if count.exists() else 0)
    count.write_text(str(runs))
    found = {"equal": True, "trades": runs, "compared": runs, "method": "", "compared_until": None}
    finding = {"verification": {**found, "difference": None, "replay": [], "limits": []}}
    Path(arguments["result"]).write_text(json.dumps(finding))
    return 0

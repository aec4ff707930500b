"""`python -m jesse_paper_mcp`."""

from __future__ import annotations

from jesse_paper_mcp.server import main

main()

"""Homes as earlier versions wrote them: each must open, its sessions run on, and their answers stay what they were.

    .venv/bin/python -m tests.homes.make

makes one with the version at hand: `<version>.tar.xz` has its files, and in `answers.json` what that version answers.
"""

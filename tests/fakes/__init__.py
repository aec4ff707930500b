"""Doubles of the outside world that misbehave on command."""

"""The session process: candles through the engine into the journal, a replay of what was consumed first."""

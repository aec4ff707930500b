"""Candles: files and their formats, the store, importing, replayed and live candles, Jesse's own database."""

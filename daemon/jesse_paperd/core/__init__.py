"""What everything stands on: the disk layout, SQLite, bounded reading of input, text that can be stored."""

"""What people see in a terminal: tables, plots, progress, a session in words, how a command fails."""

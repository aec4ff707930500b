"""Every file on disk, and the one process that writes it (store/layout.py has the table)."""

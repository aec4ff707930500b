"""The handlers of all operations: what changes something runs on the event loop, what only reads in worker threads."""

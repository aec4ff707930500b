"""The daemon's work: the sessions' lifecycle (manager), requests (handlers), the ROUTER socket (server)."""

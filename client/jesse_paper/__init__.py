"""The wire between clients and the daemon: protocol, error table, validation, client. No I/O beyond ZeroMQ."""

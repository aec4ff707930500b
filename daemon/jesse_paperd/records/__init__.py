"""What is kept of a session: its spec and intents (registry), and what happened (journal)."""

"""A strategy's source: where a project has it, what it is made of, and its snapshot in a session."""

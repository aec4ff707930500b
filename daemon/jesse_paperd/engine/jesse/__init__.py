"""Every private name of Jesse that the engine leans on; another version of Jesse is a change here."""

"""Owning processes: identity and lease, zygote, restart policy. Standard library only."""

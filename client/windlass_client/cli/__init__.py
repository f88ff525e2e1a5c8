"""The `windlass` command: one file per group of commands, `main` puts them together."""

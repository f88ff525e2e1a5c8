"""Jobs: commands that run once to their end."""

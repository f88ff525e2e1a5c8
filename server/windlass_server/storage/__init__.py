"""Where state lives: the only package that speaks SQL."""

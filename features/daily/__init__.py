"""Features of long logs: what each day adds is computed once and kept; a moment merges the days before it."""

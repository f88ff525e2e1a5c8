"""Recorded work placed by the scheduler's own code: `windlass simulate`."""

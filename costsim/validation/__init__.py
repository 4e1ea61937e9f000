"""Scores of predictions against measurements: pure functions of arrays."""

"""Scaling laws: what loss a run reaches, and what its compute could reach at best. Pure functions that broadcast."""

"""Ranges and draws."""

"""Money: cost on four bases, energy, serving, cash flow, finance, two clocks. Pure functions that broadcast."""

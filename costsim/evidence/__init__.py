"""Published measurements: reading them, and what a prediction of one of them is."""

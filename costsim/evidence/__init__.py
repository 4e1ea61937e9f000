"""Published measurements: how their words are read, and what costsim predicts for them."""

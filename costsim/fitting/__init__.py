"""Constants fitted to measurements, by scripts that anyone can run again."""

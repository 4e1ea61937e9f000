"""Constants fitted to published measurements; what ships in data files is what these functions produce."""

"""What follows for the run: parameters, FLOPs, memory, step time, layouts, failures. Pure functions on arrays."""

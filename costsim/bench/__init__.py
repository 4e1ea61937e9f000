"""Measure this machine in torch: training steps, kernels, collectives, and the calibration that follows from them."""

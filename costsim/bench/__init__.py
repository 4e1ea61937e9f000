"""Measure this machine: training steps, kernels and collectives in torch, and the calibration that follows from them."""

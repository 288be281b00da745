"""Running TorchServe and the gateway together on one machine, from start to end."""

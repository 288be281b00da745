"""What runs inside a TorchServe worker: one handler per task, model loading and image preprocessing."""

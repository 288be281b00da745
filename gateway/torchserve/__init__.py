"""Generated stubs of the part of TorchServe's gRPC API that the gateway calls."""

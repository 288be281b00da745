"""The gRPC server in front of TorchServe: admission, queueing, packing, errors, metrics; and the launcher of both."""

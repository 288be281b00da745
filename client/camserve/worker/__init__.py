"""What gateway and workers say to each other; internal, without any promise of compatibility."""

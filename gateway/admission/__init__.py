"""What a request may ask: everything that can be refused cheaply is refused here, with the field and the remedy."""

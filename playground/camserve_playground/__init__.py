"""A page to try a camserve server with; it knows the client and nothing of the server's insides."""

"""How the scenes models are trained from seeds, and what they get right on held-out scenes."""

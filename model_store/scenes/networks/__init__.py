"""The networks of the scenes models: a trunk and an encoder that see, and what speaks of what they see."""

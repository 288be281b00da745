"""What single units of a layer look for, in the words of the scenes world; ``python -m evaluation.dissection``."""

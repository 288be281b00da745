"""Measures of maps, each to its published protocol; a value per image, or a word on what it is defined over."""

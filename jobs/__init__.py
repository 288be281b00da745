"""Jobs over large sets of images, on one machine or a cluster."""

"""One folder per servable model, and the code that draws and describes the worlds they were trained on."""

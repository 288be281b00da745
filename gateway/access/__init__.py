"""Who may call: encryption, tokens, and what each caller may use."""

"""Real models, a stream of questions, four arms side by side."""

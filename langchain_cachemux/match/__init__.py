"""Is it the same question? What is near, and what must not differ."""

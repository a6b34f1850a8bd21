"""Who is kept, and where."""

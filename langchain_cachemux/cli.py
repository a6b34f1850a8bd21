"""`cachemux …`: the demo, and one question to the same stack."""

"""A ledger in a folder: the books of memory, and a database of one process that keeps them."""

"""A ledger in a database that processes share: the database is the book."""

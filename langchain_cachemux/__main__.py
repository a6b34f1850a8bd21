"""`python -m langchain_cachemux`, where the command `cachemux` is not on the path."""

from langchain_cachemux.cli import main

main()

"""LangChain in, LangChain out: what was asked, and what is handed back."""

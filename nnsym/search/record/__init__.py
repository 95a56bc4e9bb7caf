"""What a search has done and what is left: the ledger, its census, the lines of its file, where it stands."""

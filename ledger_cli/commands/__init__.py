"""The commands of `ledger`: one file for each group, with the declaration and the body of a command together."""

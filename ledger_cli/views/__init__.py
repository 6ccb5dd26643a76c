"""How the command shows its data: data in, text out. Only `terminal` prints."""

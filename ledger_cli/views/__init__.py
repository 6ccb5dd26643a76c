"""How the command shows what it knows: data in, text out."""

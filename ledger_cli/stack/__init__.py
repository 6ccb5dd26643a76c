"""What the command knows about a deployed stack, or a served engine. Nothing here prints."""

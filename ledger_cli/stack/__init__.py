"""What is known of a deployed stack, or of a served engine. Nothing here prints."""

"""Programs that only the developers of this project run."""

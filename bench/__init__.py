"""`make bench`: the cost of a cold start and of a warm call, compared with functions that are written in other ways."""

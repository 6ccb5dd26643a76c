"""`make bench`: what a cold start and a warm call cost, beside what others would write."""

"""What would have been: traces, replays, bounds, published policies and charts."""

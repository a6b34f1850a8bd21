"""What a miss will cost, and so which model is asked."""

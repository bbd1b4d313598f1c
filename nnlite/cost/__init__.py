"""What training costs: list prices, the cost of a run, its estimate, and the memory and workers that cost least."""

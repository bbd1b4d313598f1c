"""What runs on AWS Lambda: the handler, the bundle that carries it, and the stack it lives in."""

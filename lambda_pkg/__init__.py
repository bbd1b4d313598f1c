"""What runs on AWS Lambda: the handler; and the template of the stack it lives in."""

"""AWS Lambda: the function and its stack, as the commands of this machine see them."""

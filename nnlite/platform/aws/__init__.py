"""AWS Lambda: workers are invocations of the function of a stack."""

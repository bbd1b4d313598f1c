"""Invoker: starts invocations of functions: processes of this machine, AWS Lambda, OpenFaaS."""

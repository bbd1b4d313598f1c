"""Telemetry: what invocations write down of themselves (spans, marks, usage), and how it is read again."""

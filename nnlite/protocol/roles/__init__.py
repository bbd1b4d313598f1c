"""Roles that all protocols share: worker, waiter, watcher, repairer; durable copies; the last sweep."""

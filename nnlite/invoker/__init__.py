"""Where functions run: processes of this machine, and clouds."""

"""What the simulator is made of: faults, values that stand for larger ones, and how long everything takes."""

"""Search: workers train trials of hyper-parameters; promotions follow from the set of results alone."""

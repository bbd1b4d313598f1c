"""Reports: what a run left in its store, as tables, a page, plots and a file for trace viewers."""

"""What the engine costs, one script a figure; BENCHMARKS.md holds the latest with the machine they were measured on."""

"""Reads the dataset version and the checkpoint of training; writes one BenchmarkScore per benchmark, model and metric, and
beside them every Inspect log (folder `logs`; `inspect view` opens it) and one BenchmarkRun per log (side table `parts`).

Promises: base and aligned answer the same samples, a log holds every prompt and answer and nothing else does, no attack
stands in train, a killed benchmark loses one batch at most. Inspect is imported by `provider`, `tasks` and where a benchmark
is run: nowhere else.
"""

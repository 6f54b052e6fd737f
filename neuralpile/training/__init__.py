"""Train models on a corpus: windows of counts, and how well counts are predicted.

`windows` gives window i of a corpus as a function of i; `metrics` scores predictions as the Neural Latents Benchmark
does. Both need NumPy and Arrow only.

Imports the hall and corpus. Imported by examples/ and the programs of users.
"""

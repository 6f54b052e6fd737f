"""Train models on a corpus: windows of counts, tokens of motifs, and how well counts are predicted.

`windows` gives window i of a corpus as a function of i; `metrics` scores predictions as the Neural Latents Benchmark
does. Both need NumPy and Arrow only. `tokens` is a tokenizer: `vocabulary` keeps the motifs that have ids, and `lookup`
finds the id of every patch of a row, of its own motif or, with `nearest`, of the most similar one.

Imports the hall, corpus, hub and motifs. Imported by examples/, the scripts and the programs of users.
"""

"""From spike trains to counts: sessions and options, binning, clocks, z-scores.

Works on arrays only; imports nothing but errors. Recordings, corpus and build import it.
"""

"""Read recordings into sessions: one module for each file format that laboratories publish.

Imports the hall and spikes. Imported by build, and by the preprocess.py scripts.
"""

"""Read data sets from the Hugging Face Hub, and publish builds, corpora and motif tables there.

`reader` reads rows of a repository; `repository` and `publish` upload; `card` writes the data set card; `options` are
the command-line options for publishing.

Imports the hall and corpus. Imported by open, build and the scripts.
"""

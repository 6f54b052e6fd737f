"""Rows and what they are stored in: the row schema, the files on disk, manifests, and the merge of data sets.

`rows` has the schema, and RowSource, the protocol of everything that yields rows; `arrow` writes rows; `store` reads
them; `chosen` and `ordered` are some rows of a data set, and rows with their units in another order; `tables` has what
is known of sessions and units, `contents` adds it up, and `overview` prints it; `split` decides which rows are tests;
`merge` makes one corpus of several data sets, and `manifest` says of which.

Imports the hall and nothing of the Hub. Imported by hub, open, build, motifs, figures and the scripts.
"""

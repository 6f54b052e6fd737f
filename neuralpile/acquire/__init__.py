"""Get recordings from their archives: list the files, download and verify them, unpack them, or read them in place.

`download` is the command line behind every data set's download.py; `archives/` has one module for each archive;
`transfer` fetches one file and resumes it; `range_file` reads a remote file without downloading it.

Imports only the hall (errors, files, http_client, catalog, cli). Imported by build, and by the download.py scripts.
"""

"""The protocols in which records arrive over HTTP, one a file, each an `Endpoint` (`ingest/endpoint.py`).

The composition root hands them to the pipeline, which calls them. They never touch a socket, an answer's bytes on the
wire, or the sink.
"""

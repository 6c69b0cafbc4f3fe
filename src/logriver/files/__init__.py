"""Reading log files where they lie: from the end backwards, a line at a time or by a search; and what files there are.

Called by `federated/hosts.py` for the server's own files and by the agent for those of its machine. It reads only below
the allowed roots, never writes, and knows neither HTTP nor what is stored: it is told which files a search leaves out.
"""

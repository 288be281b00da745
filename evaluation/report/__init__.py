"""What came of it, to be read: a page, tables as CSV and JSON.

``section``: the form in which evaluations hand over what they have to say.
``report``: sections with the run they come from; ``write``: all of it as files; ``markdown``: a table for a README.
``page`` (with ``templates``), ``document``, ``spreadsheet``: HTML, JSON, CSV.
``standing`` (who is best in a table), ``style`` and ``drawing`` (lines of plots), ``image``: what the page is made of.
"""

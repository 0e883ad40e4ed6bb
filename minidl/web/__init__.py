"""The page: what `minidl serve` shows and starts. Its commands are the public ones.

    app          the routes, and the site they serve
    safety       who may ask: hosts, origins, tokens; the headers of every answer
    paths        names from outside made paths, or refused
    pages, api, digits_api   HTML; JSON; the routes of DIGITS
    tree         job folders below the root, found and watched
    summary      what a job's files say of it, in one dict
    figures      events.jsonl read as it grows: curves, alarms, histograms
    series       one curve in little memory
    index        what was worked out once (SQLite; may be deleted at any time)
    stream       server-sent events
    queue        which job runs next, where; started, adopted, stopped
    form         a form, read and checked field by field
    commands     the command line of a form
    asker        short questions, answered by commands in a warm process
    serving      the server around it

Files are the truth: all that is shown comes from job folders (minidl.runs) and from what commands
print. Nothing here needs NumPy or protobuf; Starlette, uvicorn, Jinja and python-multipart come
with minidl[web].
"""

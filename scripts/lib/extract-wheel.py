"""Extracts the members of a wheel (a zip file) that begin with a prefix, with their execute bits.

Node has no zip reader of its own, and Python is needed for the download anyway.
Usage: extract-wheel.py WHEEL PREFIX FOLDER
"""

import os
import sys
import zipfile

wheel, prefix, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        if member.filename.startswith(prefix):
            # extract() keeps the path inside the folder whatever the name says, but drops the mode.
            path = archive.extract(member, folder)
            if (member.external_attr >> 16) & 0o111:
                os.chmod(path, 0o755)

"""Rewrites the first page of the generated reference: roles and plugins for users come before the plugins that the roles use."""

import pathlib
import re
import sys

HEAD = """\
.. _plugins_in_crosshost.ambassador:

Roles, modules, and plugins
===========================

These pages come from the documentation of the collection, which ``ansible-doc`` prints as well.
:doc:`/docs/playbooks` describes the playbooks.
"""
# plugins that playbooks of users call; the roles call all others
FOR_USERS = ("ambassador_info module", "link_variables filter")
GROUPS = (
    ("Roles", "", lambda name: name.endswith(" role")),
    ("For your own playbooks", "", lambda name: name in FOR_USERS),
    ("Used by the roles and playbooks", "You do not need these plugins in your own playbooks.", lambda name: True),
)


def rewritten(index):
    """Return the page with its entries in groups.

    :param str index: the page as antsibull-docs writes it
    """
    names = {re.search(r"`(.+?) <", line)[1]: line for line in re.findall(r"^\* :ansplugin:.*$", index, re.M)}
    parts = [HEAD]
    for title, words, belongs in GROUPS:
        group = {name: names.pop(name) for name in list(names) if belongs(name)}
        pages = [f"    {name.replace(' ', '_')}" for name in group]
        parts += [f"{title}\n{'-' * len(title)}\n", *([f"{words}\n"] if words else []), "\n".join(group.values()), ""]
        parts += [".. toctree::\n    :maxdepth: 1\n    :hidden:\n", *pages, ""]
    return "\n".join(parts)


if __name__ == "__main__":
    page = pathlib.Path(sys.argv[1])
    page.write_text(rewritten(page.read_text()))

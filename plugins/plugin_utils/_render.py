# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a generation, from the templates of the role. With Jinja alone: a thousand links take Ansible's templating seconds."""

from __future__ import annotations

import hashlib
import json
import re

import jinja2
from ansible.plugins.filter.core import comment
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._engine_haproxy import sections
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import ports

# engine -> file -> its template, or what is taken as it is
FILES = {
    "haproxy": {"links.cfg": "links.cfg.j2", "haproxy.cfg": "haproxy.cfg.j2", "links.lua": None},
    "nftables": {"links.nft": "links.nft.j2", "ambassador.nft": "ambassador.nft.j2"},
}
# what stands for the name of the generation in its own files
NAME = "@generation@"


def environment(directory):
    """Return an environment of Jinja that renders as Ansible does.

    :param str directory: where the templates are
    :rtype: jinja2.Environment
    """
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(directory), trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    templates.filters |= {
        "comment": comment,
        "regex_replace": lambda value, pattern, replacement: re.sub(pattern, replacement, value),
    }
    templates.tests["match"] = lambda value, pattern: bool(re.match(pattern, value))
    return templates


def template_variables(engine, variables):
    """Return the variables of the templates of an engine.

    :param str engine: ``haproxy`` or ``nftables``
    :param dict variables: see :func:`generation`
    :return: with ``ports`` and, for HAProxy, ``sections``
    :rtype: dict
    """
    variables = {**variables, "ports": ports(variables["links"])}
    return {**variables, "sections": sections(variables)} if engine == "haproxy" else variables


def generation(engine, role, variables, more):
    """Return the generation that an engine is to run.

    :param str engine: ``haproxy`` or ``nftables``
    :param str role: path of the role that has the templates and files
    :param dict variables: what the templates read
    :param dict[str, str] more: further files, name -> content; one that is None is made from the template of its name
    :return: ``name`` and ``files``, name -> content as it is on disk
    :rtype: dict
    """
    templates, files, variables = environment(f"{role}/templates"), {}, template_variables(engine, variables)
    for name, template in {**FILES[engine], **more}.items():
        if name in more and template is not None:
            files[name] = template
        elif name in FILES[engine] and template is None:
            with open(f"{role}/files/{name}", encoding="utf-8") as file:
                files[name] = file.read().rstrip()
        else:
            files[name] = templates.get_template(template or f"{name}.j2").render(variables)
    # the name depends on the content, and the content has the name
    generation_name = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    return {"name": generation_name, "files": {name: content.replace(NAME, generation_name) for name, content in files.items()}}

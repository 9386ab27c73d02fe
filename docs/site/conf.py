"""The documentation site, as Sphinx builds it."""

project = "crosshost.ambassador"
author = project_copyright = "the crosshost.ambassador contributors"
html_title = project

extensions = ["myst_parser", "sphinx_antsibull_ext"]
root_doc = "README"
# whatever else a page leads to can be downloaded
include_patterns = ["*.md", "docs/**.md", "lab/README.md", "reference/*.rst"]
exclude_patterns = ["docs/site"]
# links to headings, as a repository's own view has them
myst_heading_anchors = 3

html_theme = "furo"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
highlight_language = "none"
nitpicky = True
# pages of Ansible and of other collections, which are not here
nitpick_ignore_regex = [
    ("std:ref", r"common_return_values|ansible_configuration_settings|action_plugins"),
    ("std:ref", r"ansible_collections\.(?!crosshost\.).*"),
]

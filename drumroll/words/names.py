"""Which names a template's source uses: read from its syntax, so that a branch not taken today counts as well."""

from collections.abc import Iterable, Iterator, Mapping

from jinja2 import nodes

from drumroll.plan.said import Use


def names_used(template: str, tree: nodes.Template) -> tuple[Use, ...]:
    """Every dotted name in the source (`facts.link`, `product.price`) and every plain one (`opens`), by line."""
    tests = [test for test in tree.find_all(nodes.Test) if test.name == "defined"]
    guarded = {name for test in tests for name in _dotted(test.node)}
    found: dict[str, int] = {}
    chains: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    inner = {id(chain.node) for chain in chains}
    for node in (*chains, *tree.find_all(nodes.Name)):
        if id(node) in inner:
            continue
        for name in _dotted(node):
            found[name] = min(found.get(name, node.lineno), node.lineno)
    uses = (Use(name, template, line, name in guarded) for name, line in found.items())
    return tuple(sorted(uses, key=lambda use: (use.line, use.name)))


def _dotted(expression: nodes.Node) -> Iterator[str]:
    """`facts.link` and `facts["link"]` → "facts.link"; of a longer chain, its first two parts."""
    node = expression
    parts: list[str] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            parts.append(node.attr)
        else:
            parts.append(
                node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else "*"
            )
        node = node.node
    if isinstance(node, nodes.Name) and node.ctx == "load":
        yield ".".join([node.name, *reversed(parts)][:2])


def with_included(
    own: Mapping[str, tuple[Use, ...]], includes: Mapping[str, Iterable[str]], template: str
) -> tuple[Use, ...]:
    """The names that `template` uses itself and through everything it includes, imports or extends."""
    reached, to_visit = [template], [template]
    while to_visit:
        for other in includes.get(to_visit.pop(), ()):
            if other not in reached:
                reached.append(other)
                to_visit.append(other)
    return tuple(use for name in reached for use in own.get(name, ()))

"""Trees of boxes around triangles: built once, refitted where vertices move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

LEAF = 4
"""Triangles in a leaf, at most."""


class Tree(NamedTuple):
    """Nodes in the order of a walk that goes left first."""

    links: Int[np.ndarray, "M 3"]
    """Where to go on past the node's subtree, first triangle, how many of a leaf, else 0."""
    order: Int[np.ndarray, " F"]
    """The triangles, in the leaves' order."""


def build_tree(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Tree:
    """Split the triangles at the median of the longest side of their centres, again and again.

    >>> build_tree(np.eye(3), np.array([[0, 1, 2]])).links.tolist()
    [[1, 0, 1]]
    """
    centres = vertices[faces].mean(1)
    order = np.arange(len(faces))
    links: list[list[int]] = []

    def grow(first: int, last: int) -> None:
        node = len(links)
        leaf = last - first <= LEAF
        links.append([0, first, last - first if leaf else 0])
        if not leaf:
            chosen = order[first:last]
            axis = int(np.ptp(centres[chosen], axis=0).argmax())
            order[first:last] = chosen[np.argsort(centres[chosen, axis], kind="stable")]
            middle = (first + last) // 2
            grow(first, middle)
            grow(middle, last)
        links[node][0] = len(links)

    grow(0, len(faces))
    return Tree(np.array(links, np.int64), order)


def refit(
    tree: Tree, vertices: Float[np.ndarray, "T V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "T M 6"]:
    """Boxes of all nodes for every set of vertices."""
    corners = vertices[:, faces[tree.order]]
    low, high = corners.min(2), corners.max(2)
    boxes = np.zeros((len(vertices), len(tree.links), 6))
    for node in range(len(tree.links) - 1, -1, -1):
        _, first, count = tree.links[node]
        if count:
            boxes[:, node, :3] = low[:, first : first + count].min(1)
            boxes[:, node, 3:] = high[:, first : first + count].max(1)
        else:
            right = tree.links[node + 1, 0]
            boxes[:, node, :3] = np.minimum(boxes[:, node + 1, :3], boxes[:, right, :3])
            boxes[:, node, 3:] = np.maximum(boxes[:, node + 1, 3:], boxes[:, right, 3:])
    return boxes

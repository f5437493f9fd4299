//! Circles among planned items: finding them, and a shortest one to show. Must not recurse: chains are thousands long.

use std::collections::VecDeque;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// Edge visits spent on making a shown cycle shorter; a cycle is found before they run out.
const VISITS: usize = 20_000_000;

/// Prerequisites of each node, as positions.
pub(super) type Edges = Vec<Vec<usize>>;

/// Groups of nodes that wait for each other; empty when the order is possible. Kosaraju's algorithm, because petgraph's
/// Tarjan recurses.
pub(super) fn knots(edges: &Edges) -> Vec<Vec<usize>> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(edges.len(), edges.iter().map(Vec::len).sum());
    let nodes: Vec<NodeIndex> = edges.iter().map(|_| graph.add_node(())).collect();
    for (node, needed) in edges.iter().enumerate() {
        for other in needed {
            graph.add_edge(nodes[node], nodes[*other], ());
        }
    }
    let groups = kosaraju_scc(&graph).into_iter();
    let knots = groups.map(|group| group.into_iter().map(NodeIndex::index).collect::<Vec<_>>());
    let mut knots: Vec<Vec<usize>> = knots.filter(|group| group.len() > 1).collect();
    for knot in &mut knots {
        knot.sort_unstable();
    }
    knots.sort();
    knots
}

/// A shortest cycle of a knot, as nodes in the order of waiting, smallest node first.
pub(super) fn shortest(edges: &Edges, knot: &[usize]) -> Vec<usize> {
    let mut search =
        Search { edges, inside: vec![false; edges.len()], parent: vec![usize::MAX; edges.len()], visits: 0 };
    for node in knot {
        search.inside[*node] = true;
    }
    // A cycle without a fork in it could not be left, so it would be the whole knot: any start finds it. Every other
    // cycle has a fork, so starting at the forks finds a shortest one.
    let fork = |node: &usize| edges[*node].iter().filter(|other| search.inside[**other]).count() > 1;
    let forks: Vec<usize> = knot.iter().copied().filter(fork).collect();
    let starts = if forks.is_empty() { &knot[..1] } else { &forks };
    let mut best: Vec<usize> = Vec::new();
    for start in starts {
        if search.visits > VISITS || best.len() == 2 {
            break;
        }
        let limit = if best.is_empty() { usize::MAX } else { best.len() };
        if let Some(cycle) = search.through(*start, limit) {
            best = cycle;
        }
    }
    let first = best.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
    best.rotate_left(first);
    best
}

struct Search<'a> {
    edges: &'a Edges,
    inside: Vec<bool>,
    parent: Vec<usize>,
    visits: usize,
}

impl Search<'_> {
    /// The shortest cycle through `start` that has fewer than `limit` nodes.
    fn through(&mut self, start: usize, limit: usize) -> Option<Vec<usize>> {
        let mut queue = VecDeque::from([(start, 1)]);
        let mut touched = Vec::new();
        let mut last = None;
        'search: while let Some((node, length)) = queue.pop_front() {
            if length >= limit {
                break;
            }
            for other in &self.edges[node] {
                self.visits += 1;
                if *other == start {
                    last = Some(node);
                    break 'search;
                }
                if self.inside[*other] && self.parent[*other] == usize::MAX {
                    self.parent[*other] = node;
                    touched.push(*other);
                    queue.push_back((*other, length + 1));
                }
            }
        }
        let cycle = last.map(|last| {
            let mut path = vec![last];
            while path[path.len() - 1] != start {
                path.push(self.parent[path[path.len() - 1]]);
            }
            path.reverse();
            path
        });
        for node in touched {
            self.parent[node] = usize::MAX;
        }
        cycle
    }
}

//! Waves, chains and the critical path of a graph without circles. Must not know what the nodes are.

use super::cycle::Edges;

/// Place of every node in the order.
pub(super) struct Layers {
    /// 0-based wave of each node.
    pub(super) wave: Vec<u32>,
    /// Nodes on the longest chain from each node to a leaf, itself included.
    pub(super) chain: Vec<u32>,
    /// One longest chain.
    pub(super) critical_path: Vec<usize>,
}

/// Layers the nodes; `edges` holds the prerequisites of each. Nodes on a circle are given wave 0.
pub(super) fn layers(edges: &Edges) -> Layers {
    let count = edges.len();
    let dependants = dependants(edges);
    let order = order(edges, &dependants);
    let mut wave = vec![0; count];
    let mut chain = vec![1; count];
    for node in &order {
        wave[*node] = edges[*node].iter().map(|needed| wave[*needed] + 1).max().unwrap_or(0);
    }
    for node in order.iter().rev() {
        chain[*node] = dependants[*node].iter().map(|other| chain[*other] + 1).max().unwrap_or(1);
    }
    let critical_path = critical_path(&dependants, &chain);
    Layers { wave, chain, critical_path }
}

/// Whether some nodes wait for each other.
pub(super) fn has_circle(edges: &Edges) -> bool {
    order(edges, &dependants(edges)).len() < edges.len()
}

fn dependants(edges: &Edges) -> Edges {
    let mut dependants: Edges = vec![Vec::new(); edges.len()];
    for (node, needed) in edges.iter().enumerate() {
        for other in needed {
            dependants[*other].push(node);
        }
    }
    dependants
}

/// Nodes with prerequisites first (Kahn); nodes on or behind a circle are left out.
fn order(edges: &Edges, dependants: &Edges) -> Vec<usize> {
    let mut open: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..edges.len()).filter(|node| open[*node] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for dependant in &dependants[order[next]] {
            open[*dependant] -= 1;
            if open[*dependant] == 0 {
                order.push(*dependant);
            }
        }
        next += 1;
    }
    order
}

/// The lowest nodes along a longest chain.
fn critical_path(dependants: &Edges, chain: &[u32]) -> Vec<usize> {
    let Some(mut node) = (0..chain.len()).min_by_key(|node| (std::cmp::Reverse(chain[*node]), *node)) else {
        return Vec::new();
    };
    let mut path = vec![node];
    while let Some(next) = dependants[node].iter().copied().filter(|next| chain[*next] + 1 == chain[node]).min() {
        path.push(next);
        node = next;
    }
    path
}

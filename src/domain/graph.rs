//! Builds the plan: edges, missing ids, circles, waves, the critical path. Pure and linear in items and edges.
//! Must not choose agents (the request brings that) nor the scope's members (`domain::scope` reads selectors).

mod cycle;
mod edges;
mod layers;
mod members;

use std::collections::HashSet;

use super::diagnostic::{Diagnostic, Place};
use super::id::ItemId;
use super::item::{Declared, Strength, WorkItem};
use super::names::ItemKey;
use super::plan::{Assignment, EdgeKind, Plan, PlanRequest, PlannedItem, Prerequisite};
pub use members::command;

use cycle::Edges;
use edges::{Need, Standing, Survey};
use members::{Members, because, skipped_because};

/// Ids and edges of a cycle shown to people; longer ones are cut.
const SHOWN: usize = 10;

/// Missing ids for which near spellings are looked up: each look-up reads all ids.
const SUGGESTED: usize = 20;

/// Plans a request. Findings of severity error mean that nothing may start; the plan then shows what is known.
pub fn build(request: &PlanRequest<'_>) -> Plan {
    let survey = Survey::new(request);
    let mut members = members::settle(&survey);
    let mut diagnostics = std::mem::take(&mut members.diagnostics);
    let mut planning = Planning::new(&survey, &members);
    planning.link();
    planning.untie();
    planning.look_over();
    let layers = layers::layers(&planning.edges);
    let (mut items, mut findings) = planning.into_items(&layers);
    items.sort_by_key(|planned| planned.wave);
    diagnostics.append(&mut findings);
    diagnostics.sort_by_key(|finding| finding.severity);
    let critical_path = layers.critical_path.iter().map(|node| survey.item(members.planned[*node]).id.clone());
    Plan {
        waves: items.iter().map(|planned| planned.wave + 1).max().unwrap_or(0),
        critical_path: critical_path.collect(),
        items,
        left_out: members.left_out,
        outside: members.outside,
        diagnostics,
    }
}

/// The planned items with their edges, by node: the position in id order among the planned.
struct Planning<'s, 'a> {
    survey: &'s Survey<'a>,
    planned: &'s [usize],
    node_of: Vec<Option<usize>>,
    needs: Vec<Vec<Need<'a>>>,
    edges: Edges,
    diagnostics: Vec<Diagnostic>,
}

impl<'s, 'a> Planning<'s, 'a> {
    fn new(survey: &'s Survey<'a>, members: &'s Members) -> Self {
        let mut node_of = vec![None; members.is_planned.len()];
        for (node, position) in members.planned.iter().enumerate() {
            node_of[*position] = Some(node);
        }
        Self {
            survey,
            planned: &members.planned,
            node_of,
            needs: members.planned.iter().map(|position| survey.needs(*position).to_vec()).collect(),
            edges: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    fn item(&self, node: usize) -> &'a WorkItem {
        self.survey.item(self.planned[node])
    }

    fn node(&self, need: &Need<'_>) -> Option<usize> {
        need.index.and_then(|index| self.node_of[index])
    }

    fn link(&mut self) {
        let nodes = |needs: &Vec<Need<'a>>| needs.iter().filter_map(|need| self.node(need)).collect();
        self.edges = self.needs.iter().map(nodes).collect();
    }

    /// Reports circles. An assumed edge never makes one: what the files declare wins over the order we assume.
    fn untie(&mut self) {
        if !layers::has_circle(&self.edges) {
            return;
        }
        let knots = cycle::knots(&self.edges);
        let mut knot_of = vec![None; self.edges.len()];
        for (number, knot) in knots.iter().enumerate() {
            for node in knot {
                knot_of[*node] = Some(number);
            }
        }
        let node_of = &self.node_of;
        for (node, needs) in self.needs.iter_mut().enumerate() {
            let inside = |need: &Need<'_>| {
                let other = need.index.and_then(|index| node_of[index]);
                knot_of[node].is_some() && other.is_some_and(|other| knot_of[other] == knot_of[node])
            };
            needs.retain(|need| need.kind == EdgeKind::Declared || !inside(need));
        }
        self.link();
        for knot in cycle::knots(&self.edges) {
            let shown = cycle::shortest(&self.edges, &knot);
            self.diagnostics.push(self.circle(&shown));
        }
    }

    fn circle(&self, nodes: &[usize]) -> Diagnostic {
        let ids: Vec<&str> = nodes.iter().take(SHOWN).map(|node| self.item(*node).id.as_str()).collect();
        let more = nodes.len().saturating_sub(SHOWN);
        let cut = if more > 0 { format!(" → … ({more} more)") } else { String::new() };
        let mut finding = Diagnostic::error("cycle", format!("cycle: {}{cut} → {}", ids.join(" → "), ids[0]))
            .hint("remove one of these dependencies: none of the stories could ever start");
        for (at, node) in nodes.iter().enumerate().take(SHOWN) {
            let next = nodes[(at + 1) % nodes.len()];
            let Some(need) = self.needs[*node].iter().find(|need| self.node(need) == Some(next)) else { continue };
            let label = because(&self.item(*node).id, need.id, need.kind);
            finding = match finding.place {
                None => finding.at(need.place.clone()),
                Some(_) => finding,
            };
            finding = finding.with_related(need.place.clone(), label);
        }
        finding
    }

    /// Everything else that is worth saying of the planned items.
    fn look_over(&mut self) {
        let mut suggested = 0;
        for node in 0..self.planned.len() {
            let item = self.item(node);
            let own = self.own_findings(item);
            self.diagnostics.extend(own);
            for need in &self.needs[node] {
                let finding = match need.index {
                    None => self.without_story(item, need, &mut suggested),
                    Some(index) => self.of_edge(item, need, index),
                };
                self.diagnostics.extend(finding);
            }
            if item.declared == Declared::Undeclared {
                self.diagnostics.push(undeclared(item, &self.needs[node]));
            }
        }
    }

    fn own_findings(&self, item: &WorkItem) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for needed in &item.dependencies {
            match needed.strength {
                Strength::Hard if needed.id == item.id => findings.push(
                    Diagnostic::error("self-dependency", format!("{} depends on itself", item.id))
                        .at(needed.place.clone())
                        .hint(format!("remove {} from the list", item.id)),
                ),
                Strength::Soft if !self.exists(&needed.id) => findings.push(
                    Diagnostic::warning(
                        "soft-dependency-missing",
                        format!("no story {} for this soft dependency", needed.id),
                    )
                    .at(needed.place.clone()),
                ),
                Strength::Hard | Strength::Soft => {}
            }
        }
        findings
    }

    fn exists(&self, id: &ItemId) -> bool {
        self.survey.position(id).is_some() || self.survey.standing_without_file(id).is_some()
    }

    fn without_story(&self, item: &WorkItem, need: &Need<'_>, suggested: &mut usize) -> Option<Diagnostic> {
        let id = need.id;
        match self.survey.standing_without_file(id) {
            Some(Standing::Assumed) => Some(
                Diagnostic::warning("assumed-done", format!("{id} has no story; it is assumed to be done"))
                    .at(need.place.clone()),
            ),
            Some(Standing::Open | Standing::Done(_) | Standing::Skipped | Standing::Unread) => None,
            None => {
                *suggested += 1;
                let near = if *suggested <= SUGGESTED { self.nearest(id, item) } else { String::new() };
                let hint = format!("{near}if it is done elsewhere, repeat with --assume-done {id}");
                let text = format!("depends on {id}, which does not exist");
                Some(Diagnostic::error("missing-dependency", text).at(need.place.clone()).hint(hint))
            }
        }
    }

    fn of_edge(&self, item: &WorkItem, need: &Need<'_>, index: usize) -> Option<Diagnostic> {
        let id = need.id;
        if self.survey.standing[index] == Standing::Skipped {
            let why = skipped_because(self.survey, index);
            let text = format!("{} depends on {id}, which is {why}; nothing is waited for", item.id);
            return Some(Diagnostic::warning("skipped-dependency", text).at(need.place.clone()));
        }
        if self.survey.standing[index] != Standing::Open {
            return None;
        }
        let same_epic = item.epic.is_some() && item.epic == self.survey.item(index).epic;
        (need.kind == EdgeKind::Declared && same_epic && *id > item.id).then(|| {
            let text = format!("{} depends on {id}, a later story of the same epic", item.id);
            Diagnostic::warning("later-dependency", text).at(need.place.clone())
        })
    }

    /// Whether an item that is not in the plan is not done either.
    fn is_lacking(&self, need: &Need<'_>) -> bool {
        let gone = || self.survey.standing_without_file(need.id);
        match need.index.map(|index| self.survey.standing[index]).or_else(gone) {
            Some(Standing::Done(_) | Standing::Assumed | Standing::Skipped) => false,
            Some(Standing::Open | Standing::Unread) | None => true,
        }
    }

    /// Up to three ids that look most like `id`, as the beginning of a hint.
    fn nearest(&self, id: &ItemId, item: &WorkItem) -> String {
        let distance = |other: &ItemId| {
            let within = id.as_str().len().abs_diff(other.as_str().len()) <= 2;
            within.then(|| strsim::osa_distance(id.as_str(), other.as_str())).filter(|distance| *distance <= 2)
        };
        let others = self.survey.request.items.iter().map(|other| &other.id).filter(|other| **other != item.id);
        let mut near: Vec<(usize, &ItemId)> = others.filter_map(|other| Some((distance(other)?, other))).collect();
        near.sort();
        let ids: Vec<&str> = near.iter().take(3).map(|(_, id)| id.as_str()).collect();
        if ids.is_empty() { String::new() } else { format!("nearest: {}; ", ids.join(", ")) }
    }

    fn into_items(mut self, layers: &layers::Layers) -> (Vec<PlannedItem>, Vec<Diagnostic>) {
        let mut said = HashSet::new();
        let mut items = Vec::with_capacity(self.planned.len());
        for node in 0..self.planned.len() {
            let item = self.item(node);
            let assignment = (self.survey.request.assign)(item).unwrap_or_else(|finding| {
                let why = finding.message.clone();
                // One missing agent concerns every story; it is said once.
                if said.insert((finding.message.clone(), finding.place.as_ref().map(at))) {
                    self.diagnostics.push(*finding);
                }
                Assignment { role: "unassigned".to_owned(), adapter: "none".to_owned(), fallbacks: Vec::new(), why }
            });
            let prerequisite = |need: &Need<'_>| Prerequisite {
                id: need.id.clone(),
                kind: need.kind,
                planned: self.node(need).is_some(),
                lacking: self.node(need).is_none() && self.is_lacking(need),
            };
            items.push(PlannedItem {
                key: ItemKey::from(&item.id),
                item: item.clone(),
                wave: layers.wave[node],
                prerequisites: self.needs[node].iter().map(prerequisite).collect(),
                chain: layers.chain[node],
                assignment,
            });
        }
        (items, self.diagnostics)
    }
}

fn at(place: &Place) -> (String, u32, u32) {
    (place.path.clone(), place.line, place.column)
}

fn undeclared(item: &WorkItem, needs: &[Need<'_>]) -> Diagnostic {
    let assumed: Vec<&str> = needs.iter().map(|need| need.id.as_str()).collect();
    let order =
        if assumed.is_empty() { "it starts at once".to_owned() } else { format!("after {}", assumed.join(", ")) };
    let text = format!("{} declares no dependencies; order assumed: {order}", item.id);
    Diagnostic::info("undeclared-dependencies", text).at(item.place.clone())
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;

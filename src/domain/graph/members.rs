//! Which items are in the plan: scope, what is done, and prerequisites outside the scope.
//! Must not look at the order among them; `layers` and `cycle` do.

use crate::domain::diagnostic::Diagnostic;
use crate::domain::id::ItemId;
use crate::domain::plan::{EdgeKind, LeftOut, OutOfScope};
use crate::domain::settings::Missing;

use super::edges::{Need, Standing, Survey};

/// The items in the plan and what was decided on the way.
pub(super) struct Members {
    /// Positions in the plan, in id order.
    pub(super) planned: Vec<usize>,
    /// For each position, whether it is in the plan.
    pub(super) is_planned: Vec<bool>,
    /// In scope, not planned.
    pub(super) left_out: Vec<LeftOut>,
    /// Neither expanded nor skipped.
    pub(super) outside: Vec<OutOfScope>,
    /// Findings.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Settles which items are planned.
pub(super) fn settle(survey: &Survey<'_>) -> Members {
    let count = survey.request.items.len();
    let mut members = Members {
        planned: Vec::new(),
        is_planned: vec![false; count],
        left_out: Vec::new(),
        outside: Vec::new(),
        diagnostics: Vec::new(),
    };
    members.select(survey);
    match survey.request.missing {
        Missing::Expand => members.expand(survey),
        Missing::Skip => members.skip(survey),
        Missing::Fail | Missing::Ask => members.refuse(survey),
    }
    members.planned = survey.order.iter().copied().filter(|position| members.is_planned[*position]).collect();
    members.left_out.sort_by(|a, b| a.id.cmp(&b.id));
    members
}

impl Members {
    fn select(&mut self, survey: &Survey<'_>) {
        let all = 0..survey.request.items.len();
        let selected: Vec<usize> = if survey.request.everything {
            all.collect()
        } else {
            survey.request.selected.iter().filter_map(|id| survey.position(id)).collect()
        };
        let mut seen = vec![false; survey.request.items.len()];
        for position in selected {
            if std::mem::replace(&mut seen[position], true) {
                continue;
            }
            let why = match survey.standing[position] {
                Standing::Open => {
                    self.is_planned[position] = true;
                    continue;
                }
                Standing::Done(why) => why.to_owned(),
                Standing::Assumed => "assumed done by --assume-done".to_owned(),
                Standing::Skipped => skipped_because(survey, position),
                Standing::Unread => "its file cannot be read".to_owned(),
            };
            self.left_out.push(LeftOut { id: survey.item(position).id.clone(), why });
        }
    }

    /// Open prerequisites of a planned item that are not planned.
    fn lacking<'a>(&self, survey: &Survey<'a>, position: usize) -> Vec<(usize, Need<'a>)> {
        let open = |index: usize| survey.standing[index] == Standing::Open && !self.is_planned[index];
        let needs = survey.needs(position).iter().copied();
        needs.filter_map(|need| Some((need.index.filter(|index| open(*index))?, need))).collect()
    }

    fn expand(&mut self, survey: &Survey<'_>) {
        let mut queue: Vec<usize> = self.positions();
        while let Some(position) = queue.pop() {
            for (index, need) in self.lacking(survey, position) {
                self.is_planned[index] = true;
                queue.push(index);
                let story = &survey.item(position).id;
                let text = format!("{} was added to the scope: {}", need.id, because(story, need.id, need.kind));
                self.diagnostics.push(Diagnostic::info("expanded", text).at(need.place.clone()));
            }
        }
    }

    fn skip(&mut self, survey: &Survey<'_>) {
        let mut waiting_for: Vec<Vec<usize>> = vec![Vec::new(); survey.request.items.len()];
        let mut queue = Vec::new();
        for position in self.positions() {
            for need in survey.needs(position) {
                if let Some(index) = need.index.filter(|index| self.is_planned[*index]) {
                    waiting_for[index].push(position);
                }
            }
            if let Some((_, need)) = self.lacking(survey, position).first() {
                queue.push((position, format!("prerequisite {} is out of scope", need.id)));
            }
        }
        // Breadth first, so that each item names a nearest reason.
        let mut next = 0;
        while next < queue.len() {
            let (position, why) = queue[next].clone();
            next += 1;
            if !std::mem::replace(&mut self.is_planned[position], false) {
                continue;
            }
            let id = &survey.item(position).id;
            self.left_out.push(LeftOut { id: id.clone(), why });
            let reason = format!("prerequisite {id} is left out");
            queue.extend(waiting_for[position].iter().map(|dependant| (*dependant, reason.clone())));
        }
    }

    fn refuse(&mut self, survey: &Survey<'_>) {
        for position in survey.order.iter().copied().filter(|position| self.is_planned[*position]).collect::<Vec<_>>() {
            for (_, need) in self.lacking(survey, position) {
                let story = &survey.item(position).id;
                self.outside.push(OutOfScope { story: story.clone(), prerequisite: need.id.clone() });
                let text = format!("{}, which is not done and not in the scope", because(story, need.id, need.kind));
                let command = command(survey.request.selectors);
                let hint = format!(
                    "`{command} --missing expand` takes {} in, `{command} --missing skip` leaves {story} out",
                    need.id
                );
                self.diagnostics.push(Diagnostic::error("out-of-scope", text).at(need.place.clone()).hint(hint));
            }
        }
    }

    fn positions(&self) -> Vec<usize> {
        (0..self.is_planned.len()).filter(|position| self.is_planned[*position]).collect()
    }
}

/// The edge in words.
pub(super) fn because(story: &ItemId, needed: &ItemId, kind: EdgeKind) -> String {
    match kind {
        EdgeKind::Declared => format!("{story} depends on {needed}"),
        EdgeKind::Foundation => {
            format!("{story} declares no dependencies and so follows the foundation story {needed}")
        }
        EdgeKind::EpicOrder => format!("{story} declares no dependencies and so follows {needed} of its epic"),
    }
}

/// Why an item's own status takes it out.
pub(super) fn skipped_because(survey: &Survey<'_>, position: usize) -> String {
    format!("skipped by its status \"{}\"", survey.item(position).status.raw)
}

/// The `stories` command with these words behind it, ready to be typed into a shell.
pub fn command(selectors: &[String]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_,/".contains(&byte);
    let mut command = "git orchestrate stories".to_owned();
    for selector in selectors {
        command.push(' ');
        if !selector.is_empty() && selector.bytes().all(plain) {
            command.push_str(selector);
        } else {
            command.push('\'');
            command.push_str(&selector.replace('\'', "'\\''"));
            command.push('\'');
        }
    }
    command
}

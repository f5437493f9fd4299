//! The workflow: thirteen phases in order, and ways back that only ever lead back.

use super::*;

#[test]
fn the_phases_are_numbered_one_to_thirteen_in_order() {
    let numbers: Vec<usize> = Phase::ALL.into_iter().map(Phase::number).collect();
    assert_eq!(numbers, (1..=13).collect::<Vec<_>>());
    assert!(Phase::ALL.is_sorted());
}

#[test]
fn names_lead_back_to_their_phase_and_agree_with_the_wire_form() {
    for phase in Phase::ALL {
        assert_eq!(Phase::by_name(phase.name()), Some(phase));
        assert_eq!(serde_json::to_value(phase).unwrap(), phase.name());
    }
    assert_eq!(Phase::by_name("merge"), None);
}

#[test]
fn no_way_back_leads_forward_or_out_of_the_reflection() {
    for from in Phase::ALL {
        for to in Phase::ALL {
            assert!(!from.may_return_to(to) || to <= from, "{from} → {to}");
        }
    }
    assert!(Phase::ALL.into_iter().all(|to| !Phase::Reflection.may_return_to(to)));
}

#[test]
fn the_legal_ways_back_are_these() {
    let ways = |to: Phase| Phase::ALL.into_iter().filter(|from| from.may_return_to(to)).collect::<Vec<_>>();
    assert_eq!(ways(Phase::Implementation), Phase::ALL[5..12]);
    assert_eq!(ways(Phase::Testing), [Phase::ReviewResponse]);
    assert_eq!(ways(Phase::Review), Phase::ALL[9..12]);
    assert_eq!(ways(Phase::ReviewResponse), [Phase::Readiness]);
    assert_eq!(ways(Phase::Readiness), [Phase::Readiness]);
}

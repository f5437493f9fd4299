//! Pressure: what is held back by which reading, and slots that shrink and come back.

use proptest::prelude::*;

use super::*;

#[test]
fn a_full_disk_stops_everything_and_a_busy_machine_only_more() {
    let floors = Floors::default();
    let easy =
        Pressure { disk_free: Some(1 << 30), memory_free: Some(1 << 30), memory_stall: Some(40), load: Some(1600) };
    assert_eq!(room(&easy, &floors), Room::Free);
    assert_eq!(room(&Pressure::default(), &floors), Room::Free, "what cannot be read holds nothing back");
    let full = room(&Pressure { disk_free: Some(5 << 20), ..easy }, &floors);
    assert!(matches!(full, Room::Full(why) if why.starts_with("5 MiB of disk")));
    let busy = [
        Pressure { memory_free: Some(9 << 20), ..easy },
        Pressure { memory_stall: Some(41), ..easy },
        Pressure { load: Some(1601), ..easy },
    ];
    for reading in busy {
        assert!(matches!(room(&reading, &floors), Room::Busy(_)), "{reading:?}");
    }
    let off = Floors { disk: 0, memory: 0, memory_stall: 0, load: 0 };
    assert_eq!(room(&Pressure { load: Some(u32::MAX), disk_free: Some(0), ..easy }, &off), Room::Free);
}

#[test]
fn slots_by_themselves_follow_cores_and_memory() {
    assert_eq!(auto_jobs(64, None, 400), 8);
    assert_eq!(auto_jobs(4, Some(64 << 30), 400), 4);
    assert_eq!(auto_jobs(16, Some(2 << 30), 400), 3);
    assert_eq!(auto_jobs(0, Some(0), 0), 1);
}

#[test]
fn errors_of_the_system_say_what_was_lacking() {
    assert_eq!(lack("cannot write x: No space left on device (os error 28)"), Some("the disk is full"));
    assert_eq!(lack("Resource temporarily unavailable (os error 11)"), None);
    assert_eq!(lack_at_start("Resource temporarily unavailable (os error 11)"), Some("there are too many processes"));
    assert_eq!(lack_at_start("No such file or directory (os error 2)"), None);
}

proptest! {
    #[test]
    fn slots_stay_between_one_and_all_and_come_back(most in 0_u32..300, steps in proptest::collection::vec(any::<bool>(), 0..200)) {
        let mut slots = Slots::new(most);
        for good in steps {
            if good { slots.went_well(); } else { slots.lacked(); }
            prop_assert!((1..=most.max(1)).contains(&slots.now()));
        }
        while slots.now() < most.max(1) {
            let before = slots.now();
            for _ in 0..before { slots.went_well(); }
            prop_assert_eq!(slots.now(), before + 1);
        }
    }
}

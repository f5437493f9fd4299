//! Names: total conversions, and texts that come back as they went out.

use proptest::prelude::*;

use super::super::id::ItemId;
use super::*;

#[test]
fn slugs_are_readable() {
    assert_eq!(slug("Add a *login* form — with SSO!"), "add-a-login-form-with-sso");
    assert_eq!(slug("Übergröße"), "bergr-e");
    assert_eq!(slug("日本"), "item");
    assert_eq!(slug(""), "item");
}

#[test]
fn times_are_rfc_3339_in_utc() {
    assert_eq!(Timestamp(1_795_247_701_000).rfc3339(), "2026-11-21T07:55:01Z");
    assert_eq!(Timestamp(1_795_247_701_000).date(), "2026-11-21");
    let now = Timestamp(1_795_247_701_000);
    assert_eq!(Timestamp(now.0 + 3_600_000).moment(now), "08:55 UTC");
    assert_eq!(Timestamp(now.0 + 86_400_000).moment(now), "2026-11-22 07:55 UTC");
}

#[test]
fn a_session_may_contain_colons() {
    let principal = Principal::try_from("agent:claude:a:b".to_owned()).unwrap();
    assert_eq!(principal, Principal::Agent { adapter: "claude".to_owned(), session: "a:b".to_owned() });
    assert!(Principal::try_from("agent:claude".to_owned()).is_err());
    assert!(Principal::try_from("somebody".to_owned()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_slug_is_a_safe_name(text in ".{0,80}") {
        let slug = slug(&text);
        prop_assert!((1..=40).contains(&slug.len()), "{slug}");
        prop_assert!(slug.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{slug}");
        prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"), "{slug}");
        prop_assert_eq!(super::slug(&slug), slug.clone(), "a slug is its own slug");
    }

    #[test]
    fn short_forms_never_panic(text in ".{0,12}", millis in any::<i64>()) {
        let _ = (Oid::new(text.as_str()).short(), BranchRef::new(text.as_str()).short());
        let _ = (Timestamp(millis).date(), Timestamp(millis).rfc3339());
    }

    #[test]
    fn principals_come_back_as_they_went_out(adapter in "[a-z]{1,8}", session in ".{0,12}", who in ".{0,12}") {
        for principal in [Principal::Agent { adapter, session }, Principal::Person(who), Principal::Tool] {
            prop_assert_eq!(Principal::try_from(principal.to_string()), Ok(principal));
        }
    }
}

#[test]
fn a_key_is_safe_in_a_ref_and_leads_back_to_its_id() {
    for (id, key) in [("01.4B", "1.4b"), ("1.lock", "1%2elock"), ("STORY-012", "story.12")] {
        let id = ItemId::parse(id).unwrap();
        assert_eq!(ItemKey::from(&id).as_str(), key);
        assert_eq!(ItemKey::from(&id).item_id(), Some(id));
    }
    assert_eq!(ItemKey::new("tasks%7ex-7b93be49%7e3").item_id(), None);
    assert_eq!(ItemKey::new("1.lock").item_id(), None);
}

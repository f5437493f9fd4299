//! Tests of the texts of prompts and their places.

use proptest::prelude::*;

use super::*;

#[test]
fn the_built_in_texts_are_in_order_and_every_value_of_a_place_is_used() {
    for name in Name::ALL {
        let template = Template::parse(name, name.built_in()).unwrap();
        let text = template.fill(|field| format!("<{}>", field.as_str()));
        for field in name.needs() {
            assert!(text.contains(&format!("<{}>", field.as_str())), "{name:?} {field:?}");
        }
        assert!(!text.contains("{{"), "{text}");
    }
}

#[test]
fn a_wrong_place_is_named_with_its_bytes_and_a_missing_one_with_what_helps() {
    let text = "Do {{stroy}} and {{findings}}.\n{{rules}}\n";
    let wrong = Template::parse(Name::Author, text).unwrap_err();
    assert_eq!(&text[wrong[0].span.clone()], "{{stroy}}");
    assert!(wrong[0].message.contains("unknown place {{stroy}}") && wrong[0].hint.contains("{{story}}"), "{wrong:?}");
    assert_eq!(&text[wrong[1].span.clone()], "{{findings}}");
    assert!(wrong[1].message.contains("has no value"), "{wrong:?}");
    assert!(wrong[2].message.contains("needs {{story}}"), "{wrong:?}");
    assert_eq!(wrong.len(), 3);
}

#[test]
fn a_place_without_a_value_takes_its_line_along() {
    let template = Template::parse(Name::Author, "{{story}}\n{{uv}}\n{{rules}}\nend {{uv}}\n").unwrap();
    let value = |field: Field| if field == Field::Uv { String::new() } else { format!("{}\n", field.as_str()) };
    assert_eq!(template.fill(value), "story\nrules\nend \n");
}

proptest! {
    #[test]
    fn any_text_is_a_template_or_has_findings_inside_it(text in "(\\PC|\n|\\{\\{|\\}\\}|story|rules){0,60}") {
        if let Err(wrong) = Template::parse(Name::Author, &text) {
            prop_assert!(!wrong.is_empty());
            for wrong in wrong {
                prop_assert!(text.get(wrong.span.clone()).is_some(), "{wrong:?}");
            }
        }
    }

    #[test]
    fn what_a_value_holds_is_never_read_as_a_place(value in "(\\{\\{story\\}\\}|\\{\\{|x){1,9}") {
        let template = Template::parse(Name::Author, "{{rules}}|{{story}}").unwrap();
        let text = template.fill(|field| if field == Field::Rules { "r".to_owned() } else { value.clone() });
        prop_assert_eq!(text, format!("r|{value}"));
    }
}

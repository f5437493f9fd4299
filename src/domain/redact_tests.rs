//! Tests of the redactor: what is a secret and what is none, and that the cuts of a stream do not matter.

use proptest::prelude::*;

use super::*;

const VALUE: &str = "pa55/wo\"rd+ü\\x";

/// Keys are put together here, so that no scanner takes this file for a leak.
fn keys() -> Vec<String> {
    let tail = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8";
    let (jwt, slack) = ("eyJhbGciOiJIUzI1NiJ9", "123456789012-abcdefABCDEF123456");
    vec![
        format!("sk-ant-{}-{tail}", "api03"),
        format!("sk-{}-{tail}_x", "proj"),
        format!("sk-{}", "0123456789abcdef0123456789abcdef"),
        format!("ghp_{tail}"),
        format!("github_pat_{tail}_{tail}"),
        format!("glpat-{}", &tail[..20]),
        format!("npm_{tail}"),
        format!("xoxb-{slack}"),
        format!("AKIA{}", "IOSFODNN7EXAMPLE"),
        format!("AIza{}", &tail[..35]),
        format!("{jwt}.{jwt}.{tail}"),
    ]
}

fn pem() -> String {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    format!("-----BEGIN {0}-----\n{1}-----END {0}-----", "RSA PRIVATE KEY", line.repeat(5))
}

fn redactor() -> Redactor {
    let named = |name: &str, value: &str| Secret { name: name.to_owned(), value: value.to_owned() };
    let long = "long".repeat(40) + "end";
    Redactor::new([named("MY_PASS", VALUE), named("LONG", &long), named("AB", "ababababac"), named("", "plainvalue")])
}

fn in_pieces(redactor: &Redactor, bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stream = redactor.clone();
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect::<std::collections::BTreeSet<_>>() {
        out.extend(stream.push(&bytes[from..cut]));
        assert!(stream.buffer.len() - stream.done <= HELD_MOST);
        from = cut;
    }
    out.extend(stream.push(&bytes[from..]));
    out.extend(stream.finish());
    out
}

#[test]
fn keys_are_known_by_their_shape_wherever_a_word_may_begin() {
    let redactor = Redactor::default();
    for key in keys() {
        let frames = ["@", "x=@ y", "\"@\"", "line\\n@\\n", "?a%3D@&b", "\u{1b}[1;31m@\u{1b}[0m", "(@).", "@\n@"];
        for frame in frames {
            assert_eq!(redactor.redact(&frame.replace('@', &key)), frame.replace('@', MARK), "{key}");
        }
    }
}

#[test]
fn a_private_key_keeps_its_first_and_last_line() {
    let (redactor, pem) = (Redactor::default(), pem());
    let shown = "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----";
    assert_eq!(redactor.redact(&format!("a\n{pem}\nb")), format!("a\n{shown}\nb"));
    assert_eq!(
        redactor.redact(&format!("{{\"k\":\"{}\"}}", pem.replace('\n', "\\n"))),
        format!("{{\"k\":\"{shown}\"}}")
    );
    let numbered: String = pem.lines().enumerate().map(|(n, line)| format!("  {n}\u{2192}{line}\n")).collect();
    assert!(!redactor.redact(&numbered).contains("MIIE"), "{numbered}");
    let cut_short = &pem[..200];
    assert_eq!(redactor.redact(cut_short), "-----BEGIN RSA PRIVATE KEY-----[redacted]");
    let named = "grep '-----BEGIN PRIVATE KEY-----' finds the file; the rest is prose.";
    assert_eq!(redactor.redact(named), named);
}

#[test]
fn what_is_left_of_json_is_json() {
    let redactor = redactor();
    let body = &pem()[..150];
    for text in [
        pem(),
        body.to_owned(),
        format!("{body}\" said \\"),
        format!("{body}\\"),
        format!("https://a:b\"@c {body}\u{1b}"),
    ] {
        let mut json = serde_json::json!({"tail": text, "oid": "9fceb02d0ae598e95dc970b74767f19372d61af8"}).to_string();
        for _ in 0..3 {
            json = redactor.redact(&json);
            let back: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(back["oid"], "9fceb02d0ae598e95dc970b74767f19372d61af8", "{json}");
            assert!(!json.contains("MIIE"));
            json = serde_json::json!({"nested": json, "oid": back["oid"]}).to_string();
        }
    }
}

#[test]
fn passwords_in_urls_and_bearer_tokens_go_and_their_users_stay() {
    let redactor = Redactor::default();
    for (text, shown) in [
        ("https://me:hunter2@example.com/x", "https://me:[redacted]@example.com/x"),
        ("postgres://app:p%40ss@db:5432/a", "postgres://app:[redacted]@db:5432/a"),
        ("Authorization: Bearer abcdefghij0123456789.~x'", "Authorization: Bearer [redacted]'"),
    ] {
        assert_eq!(redactor.redact(text), shown);
        assert_eq!(redactor.redact(shown), shown);
    }
}

#[test]
fn hashes_ids_and_prose_are_left_alone() {
    let redactor = redactor();
    for text in [
        "9fceb02d0ae598e95dc970b74767f19372d61af8 HEAD",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "123e4567-e89b-12d3-a456-426614174000",
        "integrity sha512-AKIAxyz+AIzaSy/sk0eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9eyJhbGciOiJIUzI1NiIsInR5cCI6==",
        "a risk-assessment-of-2024-01-15-release-notes, sk-learn-2024-release-notes-final-3",
        "npm_config_registry npm_lifecycle_event eyJhIjoxfQ== ghp_short",
        "https://user@example.com:8080/a:b@c https://$USER:$PASS@host https://u:[redacted]@h",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBa\n-----END CERTIFICATE-----",
        "Bearer authentication-is-described-here; The Bearer of news",
        "plainvalu ababababab longlonglong",
    ] {
        assert_eq!(redactor.redact(text), text);
    }
}

#[test]
fn a_listed_value_is_found_in_every_spelling() {
    let redactor = redactor();
    let json = serde_json::to_string(VALUE).unwrap();
    let json = json.trim_matches('"');
    let twice = serde_json::to_string(json).unwrap();
    let percent = "pa55%2Fwo%22rd%2B%C3%BC%5Cx";
    for text in
        [VALUE, json, &json.replace('/', "\\/"), &json.replace('ü', "\\u00fc"), twice.trim_matches('"'), percent]
    {
        assert_eq!(redactor.redact(&format!("<{text}>")), "<[redacted:MY_PASS]>", "{text}");
        assert_eq!(redactor.listed_in(format!("<{text}>").as_bytes()), Some("MY_PASS"));
    }
    // Computed by another program: base64 of "user:" + VALUE + "@end" and of one and two bytes more in front.
    for (encoded, core) in [
        ("dXNlcjpwYTU1L3dvInJkK8O8XHhAZW5k", "wYTU1L3dvInJkK8O8XH"),
        ("eHVzZXI6cGE1NS93byJyZCvDvFx4QGVuZA==", "cGE1NS93byJyZCvDvFx4"),
        ("eXh1c2VyOnBhNTUvd28icmQrw7xceEBlbmQ=", "BhNTUvd28icmQrw7xce"),
    ] {
        assert!(encoded.contains(core));
        assert_eq!(redactor.redact(encoded), encoded.replace(core, "[redacted:MY_PASS]"), "{encoded}");
    }
    assert_eq!(redactor.listed_in(b"nothing of it"), None);
}

#[test]
fn a_value_of_many_lines_is_found_line_by_line() {
    let redactor = Redactor::new(["first line of some value\nthe second line 12345".to_owned()]);
    assert_eq!(redactor.redact(" 7: the second line 12345;"), " 7: [redacted];");
}

#[test]
fn a_long_value_goes_whole_and_a_short_one_is_not_looked_for() {
    let redactor = Redactor::new(["x".repeat(3000) + "y", "short".to_owned(), String::new()]);
    assert_eq!(redactor.redact(&format!("<{}y>short", "x".repeat(3000))), "<[redacted]>short");
}

#[test]
fn the_longer_of_a_shape_and_a_value_goes() {
    let key = &keys()[3];
    let value = format!("{key}!rest of it");
    let redactor = Redactor::new([value.clone(), "token!value".to_owned()]);
    assert_eq!(redactor.redact(&format!("{value} {key}zzz")), "[redacted] [redacted]");
    assert_eq!(redactor.redact("https://u:token!value@h"), "https://u:[redacted]@h");
}

#[test]
fn text_goes_out_as_soon_as_it_can_be_none() {
    let mut stream = redactor();
    assert_eq!(stream.push(b"a prompt without a line end: "), b"a prompt without a line end: ");
    assert_eq!(stream.push(b"plainval"), b"");
    assert_eq!(stream.push(b"o."), b"plainvalo.");
    assert_eq!(stream.push(b"plainvalue"), b"[redacted]");
    assert_eq!(stream.push(b"gh"), b"");
    assert_eq!(stream.finish(), b"gh");
    assert_eq!(stream.finish(), b"");
}

#[test]
fn variables_of_secrets_are_known_by_their_name() {
    for name in
        ["ANTHROPIC_API_KEY", "GITHUB_TOKEN", "npm_config__authToken", "DB_PASSWORD", "GHTOKEN", "X_CREDENTIALS"]
    {
        assert!(looks_secret(name, "a value 1"), "{name}");
    }
    for (name, value) in [
        ("KEYBOARD_LAYOUT", "german-de"),
        ("GIT_AUTHOR_NAME", "somebody"),
        ("SSH_AUTH_SOCK", "/run/agent.1"),
        ("MAX_THINKING_TOKENS", "64000"),
        ("API_KEY", "short"),
        ("USE_AUTH", "enabled"),
        ("PWD", "somewhere"),
    ] {
        assert!(!looks_secret(name, value), "{name}");
    }
}

#[test]
fn a_flood_costs_a_bounded_number_of_steps_for_each_byte() {
    for (flood, steps) in [("x", 16), ("sk-", 400_000), ("eyJ", 400_000), ("ab", 600_000), ("://a:b", 200_000)] {
        let mut stream = redactor();
        let piece = flood.repeat(65_536 / flood.len());
        let mut out = 0;
        for _ in 0..16 {
            out += stream.push(piece.as_bytes()).len();
        }
        out += stream.finish_counted(steps);
        assert_eq!(out, piece.len() * 16, "{flood}");
    }
}

impl Redactor {
    fn finish_counted(&mut self, most: u64) -> usize {
        let rest = self.advance(true);
        assert!(self.steps <= most, "{} steps", self.steps);
        rest.len()
    }
}

fn fragments() -> impl Strategy<Value = String> {
    let mut known = keys();
    known.extend(
        [VALUE, "plainvalue", "ababababac", "ababab", "sk-", "eyJ", "://u:", "@", "-----", "\u{1b}[31m"]
            .map(str::to_owned),
    );
    known.extend([pem(), "long".repeat(40) + "end", "long".repeat(30), "Bearer ".to_owned(), "\\n".to_owned()]);
    let piece = prop_oneof![3 => proptest::sample::select(known), 2 => "[a-z ./=]{0,12}", 1 => ".{0,3}"];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_cuts_of_a_stream_do_not_matter(text in fragments(), cuts in proptest::collection::vec(any::<usize>(), 0..12)) {
        let redactor = redactor();
        let whole = redactor.redact_bytes(text.as_bytes());
        let pieces = in_pieces(&redactor, text.as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8_lossy(&pieces), String::from_utf8_lossy(&whole));
        let single: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(in_pieces(&redactor, text.as_bytes(), &single), whole);
    }

    #[test]
    fn a_secret_is_found_across_any_cut(at in 0usize..80, second in 0usize..80, before in "[a-z .]{0,20}[ =]", which in 0usize..15) {
        let mut all = keys();
        all.extend([VALUE.to_owned(), "ababababac".to_owned(), "long".repeat(40) + "end", "plainvalue".to_owned()]);
        let secret = &all[which];
        let out = in_pieces(&redactor(), format!("{before}{secret} after").as_bytes(), &[at, second]);
        let out = String::from_utf8(out).unwrap();
        prop_assert!(out.starts_with(&format!("{before}[redacted")) && out.ends_with("] after"), "{}", out);
    }

    #[test]
    fn bytes_without_a_secret_pass_unchanged(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in any::<usize>()) {
        prop_assert_eq!(in_pieces(&Redactor::default(), &bytes, &[cut]), bytes);
    }

    #[test]
    fn no_listed_value_is_left(text in fragments()) {
        let redactor = redactor();
        let once = redactor.redact(&text);
        for secret in [VALUE, "plainvalue", "ababababac"] {
            prop_assert!(!once.contains(secret));
        }
    }
}

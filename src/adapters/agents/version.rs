//! Versions of clients: found in what they print, compared number by number. Must not run anything.

use std::fmt;

/// A version such as 2.1.329; what comes behind the numbers is not compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u64>);

impl Version {
    /// The first version in a text: two numbers or more with dots between. `None` when there is none.
    pub fn find(text: &str) -> Option<Self> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        let numbers = |part: &str| -> Option<Vec<u64>> {
            let part = part.trim_matches('.');
            let numbers = part.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
            (numbers.len() > 1).then_some(numbers)
        };
        parts.find_map(numbers).map(Self)
    }

    /// Its first number.
    pub fn major(&self) -> u64 {
        self.0.first().copied().unwrap_or(0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_clients_print() {
        let cases = [
            ("2.1.329 (Claude Code)", Some("2.1.329")),
            ("codex-cli 0.169.0\n", Some("0.169.0")),
            ("GitHub Copilot CLI 1.0.102.\nRun 'copilot update'", Some("1.0.102")),
            (" 1.34.0", Some("1.34.0")),
            ("v22.23.3", Some("22.23.3")),
            ("aider 0.86.2", Some("0.86.2")),
            ("0.50.0-nightly.3", Some("0.50.0")),
            ("no such option 5", None),
            ("99999999999999999999999.1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Version::find(text).map(|version| version.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        let of = |text| Version::find(text).unwrap();
        assert!(of("2.1.197") < of("2.1.329") && of("2.9.0") < of("2.10.0") && of("2.1") < of("2.1.1"));
        assert_eq!(of("v20.20.2").major(), 20);
    }
}

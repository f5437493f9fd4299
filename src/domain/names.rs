//! Newtypes for the names that travel through the whole crate: object ids, refs, attempts, runs, principals, times.
//! Must not hold behaviour beyond parsing, ordering and printing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares a string newtype with the usual accessors.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a value that is already known to be well formed.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_newtype!(
    /// The object id of a commit, tree or blob, in full lower-case hexadecimal (40 or 64 digits).
    Oid
);
text_newtype!(
    /// The last part of an item's ref name, `refs/orchestrate/items/<key>`: the canonical id for the default stories root.
    ItemKey
);
text_newtype!(
    /// Names one run: one invocation that executes a plan. Sorts by start time.
    RunId
);
text_newtype!(
    /// Names one try at one item; the fencing token of everything that try records.
    AttemptId
);
text_newtype!(
    /// A full branch ref, `refs/heads/...`.
    BranchRef
);
text_newtype!(
    /// Digest of the resolved gate keys of a policy.
    PolicyVersion
);

impl Oid {
    /// The first seven digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

impl BranchRef {
    /// The name without `refs/heads/`.
    pub fn short(&self) -> &str {
        self.0.strip_prefix("refs/heads/").unwrap_or(&self.0)
    }
}

/// The key of an item of the default stories root.
impl From<&super::id::ItemId> for ItemKey {
    fn from(id: &super::id::ItemId) -> Self {
        Self::escaped(id.as_str())
    }
}

impl ItemKey {
    /// The one rule for keys: folds case and escapes every byte outside `[a-z0-9.-]` as `%xx`, and those dots that git
    /// refuses in a ref.
    pub fn escaped(text: &str) -> Self {
        let folded = text.to_lowercase();
        let bytes = folded.as_bytes();
        let mut escaped = String::with_capacity(bytes.len());
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => escaped.push(char::from(*byte)),
                b'.' if dot_is_fine(bytes, index) => escaped.push('.'),
                _ => escaped.push_str(&format!("%{byte:02x}")),
            }
        }
        Self(if escaped.is_empty() { "%".to_owned() } else { escaped })
    }

    /// The id whose key this is; `None` for items of other sources.
    pub fn item_id(&self) -> Option<super::id::ItemId> {
        super::id::ItemId::parse(&self.0.replace("%2e", ".")).filter(|id| Self::from(id) == *self)
    }
}

/// Git refuses a dot at either end, two in a row, and the ending `.lock`.
fn dot_is_fine(bytes: &[u8], index: usize) -> bool {
    let rest = &bytes[index..];
    index > 0 && rest.len() > 1 && bytes[index - 1] != b'.' && rest != b".lock"
}

/// A safe name made from any text: lower-case ASCII letters, digits and single hyphens, 1 to 40 bytes; `item` when nothing
/// of the text can be kept.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if slug.len() >= 40 {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "item".to_owned() } else { slug.to_owned() }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// `2026-11-21`, UTC.
    pub fn date(self) -> String {
        self.utc("%Y-%m-%d")
    }

    /// `2026-11-21T07:55:01Z`, RFC 3339 in UTC.
    pub fn rfc3339(self) -> String {
        self.utc("%Y-%m-%dT%H:%M:%SZ")
    }

    /// When it is for people at `now`: `14:05 UTC`, and with the date where it is half a day away: `2026-11-23 14:05 UTC`.
    pub fn moment(self, now: Self) -> String {
        self.utc(if self.0.abs_diff(now.0) < 43_200_000 { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" })
    }

    fn utc(self, format: &str) -> String {
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        time.strftime(format).to_string()
    }
}

/// Who did something: an agent's session, a person, or the tool itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Principal {
    /// `agent:<adapter>:<session>`.
    Agent {
        /// The adapter's name, without `:`.
        adapter: String,
        /// The client's session id.
        session: String,
    },
    /// `person:<email or key>`.
    Person(String),
    /// `tool`: git-orchestrate itself.
    Tool,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { adapter, session } => write!(f, "agent:{adapter}:{session}"),
            Self::Person(who) => write!(f, "person:{who}"),
            Self::Tool => f.write_str("tool"),
        }
    }
}

impl TryFrom<String> for Principal {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "tool" {
            return Ok(Self::Tool);
        }
        if let Some(who) = text.strip_prefix("person:") {
            return Ok(Self::Person(who.to_owned()));
        }
        text.strip_prefix("agent:")
            .and_then(|rest| rest.split_once(':'))
            .map(|(adapter, session)| Self::Agent { adapter: adapter.to_owned(), session: session.to_owned() })
            .ok_or_else(|| format!("`{text}` is not a principal"))
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.to_string()
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;

//! Renders diagnostics.
use crate::domain::diagnostic::Diagnostic;
/// x
pub fn render(findings: &[Diagnostic], _color: bool) -> String {
    findings.iter().map(|f| format!("{:?}: {} {:?}\n", f.severity, f.message, f.hint)).collect()
}

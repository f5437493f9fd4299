//! No way to a permit but through a verdict: what the compiler does not say of the module that makes them is read off its source.

fn source(path: &str) -> String {
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.split("\n#[cfg(test)]")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// The attributes above a type, its fields, and the bodies of its own `impl` blocks.
fn about<'a>(text: &'a str, name: &str) -> (&'a str, &'a str, Vec<&'a str>) {
    let (before, after) = text.split_once(&format!("pub struct {name} {{\n")).unwrap();
    let above = before.rsplit("\n\n").next().unwrap();
    let fields = after.split("\n}").next().unwrap();
    let begin = format!("\nimpl {name} {{\n");
    let impls = text.split(begin.as_str()).skip(1).map(|body| body.split("\n}\n").next().unwrap());
    (above, fields, impls.collect())
}

/// Every place where a value of the type is written out: its own name in front of braces, or `Self`.
fn made(text: &str, name: &str) -> usize {
    let braces = text.matches(&format!("{name} {{")).count();
    // The definition and the `impl` blocks.
    let others = [format!("struct {name} {{"), format!("impl {name} {{"), format!("-> {name} {{")];
    let (.., impls) = about(text, name);
    let selves: usize =
        impls.iter().map(|body| body.matches("Self {").count() - body.matches("-> Self {").count()).sum();
    braces - others.iter().map(|other| text.matches(other).count()).sum::<usize>() + selves
}

#[test]
fn a_permit_and_its_proofs_have_private_fields_and_one_maker_per_origin() {
    let (gate, hotfix) = (source("src/domain/gate.rs"), source("src/domain/hotfix.rs"));
    for (text, name, makers) in
        [(&gate, "MergePermit", 3), (&gate, "Covered", 1), (&gate, "Recomputed", 1), (&hotfix, "Emergency", 1)]
    {
        let (above, fields, _) = about(text, name);
        assert!(!fields.contains("pub"), "{name} has an open field: {fields}");
        for derived in ["Clone", "Copy", "Default", "Deserialize"] {
            assert!(!above.contains(derived), "{name} derives {derived}: a copy is a second permit");
        }
        assert_eq!(made(text, name), makers, "{name} is made in another number of places");
        for wide in [format!("for {name} "), format!("for {name}\n"), format!("for {name}<")] {
            assert!(!text.contains(&wide), "{name} gets a trait by hand: look whether that makes one");
        }
    }
    // Every maker consumes a proof, by value.
    let (.., impls) = about(&gate, "MergePermit");
    let makers: Vec<&str> =
        impls.iter().flat_map(|body| body.lines()).filter(|line| line.contains("-> Self")).collect();
    assert_eq!(
        makers.iter().map(|line| line.trim()).collect::<Vec<_>>(),
        [
            "pub fn reviewed(covered: Covered) -> Self {",
            "pub fn hotfix(emergency: Emergency) -> Self {",
            "pub fn bookkeeping(proof: Recomputed) -> Self {"
        ]
    );
    // And the proofs come out of the verdicts alone.
    assert_eq!(gate.matches("Verdict::Covered(").count(), 1);
    assert_eq!(hotfix.matches("HotfixVerdict::Granted(").count(), 1);
}

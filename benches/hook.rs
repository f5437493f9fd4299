//! What the reference-transaction hook costs git, as installed by `init`, against `/bin/true` in its place and no hook.

use std::path::PathBuf;

use crate::fixture::Scratch;
use crate::meter::{self, Cost, interleaved, program};

/// Ref updates of each kind.
const UPDATES: usize = 101;

const HOOK: &str = "reference-transaction";

pub fn measure() {
    let scratch = Scratch::repository();
    scratch.write("README.md", "# Scratch\n");
    scratch.commit();
    program(&mut scratch.orchestrate(&["init"]));
    let installed = scratch.root().join(".git/hooks").join(HOOK).read_link().expect("init links the hook");
    for (what, refname) in [("a branch", "refs/heads/other"), ("a tag", "refs/tags/other")] {
        let update = |hook: Option<PathBuf>| {
            let (scratch, mut turn) = (&scratch, false);
            let hooks =
                scratch.outside().join(format!("hooks-{}", hook.as_ref().map_or(0, |path| path.as_os_str().len())));
            std::fs::create_dir_all(&hooks).unwrap();
            if let Some(hook) = hook.filter(|_| !hooks.join(HOOK).exists()) {
                std::os::unix::fs::symlink(hook, hooks.join(HOOK)).unwrap();
            }
            let path = format!("core.hooksPath={}", hooks.display());
            Box::new(move || {
                turn = !turn;
                let new = if turn { "HEAD" } else { "HEAD^{commit}" };
                let mut git = scratch.command("git");
                program(git.args(["-c", &path, "update-ref", refname, new]))
            }) as Box<dyn FnMut() -> Cost + '_>
        };
        let figures = [update(None), update(Some("/bin/true".into())), update(Some(installed.clone()))];
        let [none, nothing, ours] = interleaved(UPDATES, figures);
        meter::line(&format!("git update-ref of {what}: no hook"), none);
        meter::line(&format!("git update-ref of {what}: /bin/true as hook"), nothing);
        meter::line(&format!("git update-ref of {what}: hook as installed"), ours);
        meter::ratio("hook as installed / /bin/true", ours.cpu, nothing.cpu);
    }
}

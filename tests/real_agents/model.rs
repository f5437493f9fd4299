//! The scripted model: recognises what a client was told to do by the headings of its prompt, and answers with calls of the
//! client's own tools until the work is done. Knows nothing of wires.

use serde_json::{Map, Value, json};

/// What a session is about, as the last prompt in it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Author,
    Review,
    Response,
    Rework,
    Conflict,
    /// A prompt of ours without a known task: a reminder, a continuation.
    Other,
}

/// A task and its story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub kind: Kind,
    pub story: String,
}

/// A tool that the client offers.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    /// JSON schema of its arguments.
    pub schema: Value,
}

/// One request to the model.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub model: String,
    /// Texts of the user's turns, oldest first.
    pub prompts: Vec<String>,
    /// Results of tools since the last prompt.
    pub results: Vec<String>,
    pub tools: Vec<Tool>,
    /// The answer must have this shape.
    pub shape: Option<Value>,
    pub stream: bool,
    /// A question of the client for itself: a title, a summary, a choice of model.
    pub aside: bool,
    /// The last task named in the prompts.
    pub task: Option<Task>,
    /// Sessions that the engine has started so far, this one included.
    pub sessions: usize,
}

/// What a model says: text, or one call of a tool.
#[derive(Clone, Debug)]
pub enum Said {
    Text(String),
    Call { name: String, arguments: Value },
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    Say(Said),
    /// The first half of it, then the connection breaks.
    Cut(Said),
    Refuse {
        status: u16,
        headers: Vec<(String, String)>,
        kind: String,
        message: String,
    },
    Hang,
}

/// Answers a request; the number says how many of the same story, task and step came before.
pub type Model = Box<dyn Fn(&Ask, usize) -> Answer + Send + Sync>;

impl Ask {
    /// The last task that any prompt names.
    pub fn with_task(mut self) -> Self {
        self.task = self.prompts.iter().rev().find_map(|prompt| task(prompt));
        self
    }

    /// Number of the step in the task: 0 before any tool ran.
    pub fn step(&self) -> usize {
        self.results.len()
    }

    /// Equal for two requests that are the same point of the same task.
    pub fn step_key(&self) -> (String, usize, bool) {
        let task = self.task.as_ref().map(|task| format!("{:?} {}", task.kind, task.story));
        (task.unwrap_or_default(), self.step(), self.aside)
    }

    pub fn is(&self, kind: Kind) -> bool {
        !self.aside && self.task.as_ref().is_some_and(|task| task.kind == kind)
    }

    pub fn story(&self) -> &str {
        self.task.as_ref().map_or("0.0", |task| task.story.as_str())
    }

    fn tool(&self, names: &[&str]) -> Option<&Tool> {
        names.iter().find_map(|name| self.tools.iter().find(|tool| tool.name == *name))
    }

    /// A call of the client's own shell.
    pub fn shell(&self, command: &str) -> Said {
        let names = ["Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash", "developer__shell"];
        let Some(tool) = self.tool(&names) else {
            let offered: Vec<_> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
            return Said::Text(format!("no shell among {offered:?}"));
        };
        let mut arguments = Map::new();
        for name in ["command", "cmd"] {
            let kind = &tool.schema["properties"][name]["type"];
            if kind == "array" {
                arguments.insert(name.to_owned(), json!(["bash", "-c", command]));
            } else if !tool.schema["properties"][name].is_null() {
                arguments.insert(name.to_owned(), json!(command));
            }
        }
        if !tool.schema["properties"]["description"].is_null() {
            arguments.insert("description".to_owned(), json!("a step of the task"));
        }
        Said::Call { name: tool.name.clone(), arguments: Value::Object(arguments) }
    }

    /// A file written by the client's own tool for it, else by its shell.
    pub fn write(&self, name: &str, content: &str) -> Said {
        let place = self.results.iter().flat_map(|text| text.lines()).rev();
        let place = place.map(|line| line.trim_start_matches("Output:").trim()).find(|line| line.starts_with('/'));
        match (self.tool(&["Write", "write_file"]), place) {
            (Some(tool), Some(place)) => {
                let arguments = json!({"file_path": format!("{place}/{name}"), "content": content});
                Said::Call { name: tool.name.clone(), arguments }
            }
            _ => self.shell(&format!("printf '%s' '{content}' > {name}")),
        }
    }
}

/// The task that a prompt names in a line of its own.
fn task(prompt: &str) -> Option<Task> {
    let kinds = [
        ("implement story ", Kind::Author),
        ("review story ", Kind::Review),
        ("answer the review of story ", Kind::Response),
        ("mend story ", Kind::Rework),
        ("resolve the conflicts ", Kind::Conflict),
    ];
    prompt.lines().rev().find_map(|line| {
        let rest = line.trim().strip_prefix("# Task: ")?;
        let (kind, rest) = kinds.iter().find_map(|(words, kind)| Some((*kind, rest.strip_prefix(words)?)))?;
        let story = rest.split_whitespace().next().unwrap_or_default().to_owned();
        Some(Task { kind, story })
    })
}

/// Does what it was told: an author looks, writes a file, commits and says so; a reviewer looks and approves.
pub fn honest(ask: &Ask) -> Answer {
    if ask.aside {
        return Answer::Say(Said::Text(aside(ask)));
    }
    let story = ask.story();
    let said = if ask.is(Kind::Review) {
        review(ask, "approve", json!([]))
    } else {
        match ask.step() {
            0 => ask.shell("pwd"),
            1 => ask.write(&format!("{story}.txt"), &format!("work on {story}\n")),
            2 => ask.shell(&commit(story)),
            _ => Said::Text(format!("Story {story} is implemented and committed.")),
        }
    };
    Answer::Say(said)
}

/// Commits whatever there is; no error when there is nothing.
pub fn commit(story: &str) -> String {
    format!("git add -A && (git diff --cached --quiet || git commit -q -m 'work on {story}'); git log -1 --format=%s")
}

/// A review in the form that the client is held to, else in the file.
pub fn review(ask: &Ask, verdict: &str, findings: Value) -> Said {
    let answer = json!({"version": 1, "verdict": verdict, "findings": findings});
    if ask.step() == 0 {
        return ask.shell("git log -1 --format=%s");
    }
    if let Some(tool) = ask.tool(&["StructuredOutput", "structured_output"]) {
        return match ask.step() {
            1 => Said::Call { name: tool.name.clone(), arguments: answer },
            _ => Said::Text("Reviewed.".to_owned()),
        };
    }
    if ask.shape.is_some() {
        return Said::Text(answer.to_string());
    }
    match ask.step() {
        1 => ask.shell(&format!("printf '%s' '{answer}' > \"$ORCHESTRATE_RESULT\"")),
        _ => Said::Text("Reviewed.".to_owned()),
    }
}

/// Short answers for the client's own questions; those with a shape get the keys they ask for.
fn aside(ask: &Ask) -> String {
    let Some(shape) = &ask.shape else { return "A short answer".to_owned() };
    let mut answer = Map::new();
    for (name, property) in shape["properties"].as_object().into_iter().flatten() {
        let first = property["enum"].as_array().and_then(|all| all.first().cloned());
        let value =
            first.unwrap_or_else(|| match property["type"].as_str().unwrap_or_default().to_lowercase().as_str() {
                "boolean" => json!(false),
                "number" | "integer" => json!(0),
                "array" => json!([]),
                _ => json!("short"),
            });
        answer.insert(name.clone(), value);
    }
    Value::Object(answer).to_string()
}

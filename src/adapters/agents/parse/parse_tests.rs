//! What every client's own events come to. The samples are made in the form that the real clients print.

use proptest::prelude::*;

use super::*;
use crate::domain::event::FailureClass::{
    Agent, Auth, Billing, ClientBudget, ContextFull, MaxTurns, Overloaded, RateLimited,
};

/// Saturday 2026-11-21, 20:00 in UTC, in milliseconds.
const NOW: i64 = 1_795_291_200_000;

fn told(parser: Parser, pieces: &[&[u8]]) -> (Transcript, Vec<(Kind, String)>) {
    let mut entries = Vec::new();
    let mut tell = |entry: Entry| entries.push((entry.kind, entry.text));
    let mut reader = Reader::new(parser, Timestamp(NOW));
    reader.clock.zone = TimeZone::UTC;
    for piece in pieces {
        reader.push(piece, &mut tell);
    }
    let transcript = reader.finish(&mut tell);
    (transcript, entries)
}

fn scanned(parser: Parser, lines: &str) -> Transcript {
    told(parser, &[lines.as_bytes()]).0
}

/// A row of the failure table: what it is, what the client prints, the class, and in how many seconds a limit ends.
type Row<'a> = (&'a str, &'a str, Option<FailureClass>, Option<i64>);

fn check(parser: Parser, rows: &[Row<'_>]) {
    for (what, lines, class, seconds) in rows {
        let transcript = scanned(parser, lines);
        assert_eq!(transcript.class, *class, "{parser:?}: {what}");
        assert_eq!(transcript.until.map(|until| (until.0 - NOW) / 1000), *seconds, "{parser:?}: {what}");
    }
}

#[test]
fn claude_says_why_it_failed() {
    let failed = |fields: &str| {
        format!("{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"session_id\":\"s\"{fields}}}\n")
    };
    let rejected =
        "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"rejected\",\"resetsAt\":1795294800}}\n";
    let warned = "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"allowed_warning\",\"resetsAt\":1795294800}}\n";
    let good = "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\"}\n";
    let plan = failed(",\"result\":\"You've hit your limit\",\"api_error_status\":429");
    check(
        Parser::ClaudeStreamJson,
        &[
            ("no commit made", good, None, None),
            (
                "429",
                &failed(",\"api_error_status\":429,\"api_error_type\":\"rate_limit_error\""),
                Some(RateLimited),
                None,
            ),
            (
                "429 in words",
                &failed(",\"result\":\"API Error: 429, retry after 3600s\""),
                Some(RateLimited),
                Some(3600),
            ),
            ("plan limit", &format!("{rejected}{plan}"), Some(RateLimited), Some(3600)),
            ("plan limit, cut off", rejected, Some(RateLimited), Some(3600)),
            ("a warning of a limit", &format!("{warned}{good}"), None, None),
            ("overloaded", &failed(",\"api_error_status\":529,\"result\":\"API Error\""), Some(Overloaded), None),
            ("bad key", &failed(",\"api_error_status\":401,\"result\":\"Invalid API key\""), Some(Auth), None),
            ("no credit", &failed(",\"error\":\"billing_error\",\"api_error_status\":400"), Some(Billing), None),
            (
                "context overflow",
                &failed(",\"terminal_reason\":\"prompt_too_long\",\"api_error_status\":400"),
                Some(ContextFull),
                None,
            ),
            ("stream cut", &failed(",\"api_error\":\"connection_failed\""), Some(Overloaded), None),
            (
                "turn limit",
                "{\"type\":\"result\",\"subtype\":\"error_max_turns\",\"is_error\":false}\n",
                Some(MaxTurns),
                None,
            ),
            (
                "money limit",
                "{\"type\":\"result\",\"subtype\":\"error_max_budget_usd\",\"is_error\":true}\n",
                Some(ClientBudget),
                None,
            ),
            (
                "interrupted",
                "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true}\n",
                Some(Agent),
                None,
            ),
            (
                "one retry",
                &format!(
                    "{{\"type\":\"system\",\"subtype\":\"api_retry\",\"attempt\":1,\"error_status\":429}}\n{good}"
                ),
                None,
                None,
            ),
        ],
    );
}

#[test]
fn codex_says_why_it_failed() {
    let failed = |message: &str| {
        format!(
            "{{\"type\":\"error\",\"message\":\"{message}\"}}\n{{\"type\":\"turn.failed\",\"error\":{{\"message\":\"{message}\"}}}}\n"
        )
    };
    let retried = "{\"type\":\"error\",\"message\":\"Reconnecting... 1/1 (stream disconnected)\"}\n\
                   {\"type\":\"turn.completed\",\"usage\":{}}\n";
    check(
        Parser::CodexJsonl,
        &[
            ("429", &failed("exceeded retry limit, last status: 429 Too Many Requests"), Some(RateLimited), None),
            (
                "plan limit",
                &failed("You've hit your usage limit. Try again at 7:05 AM."),
                Some(RateLimited),
                Some(39_960),
            ),
            ("overloaded", &failed("unexpected status 503 Service Unavailable"), Some(Overloaded), None),
            ("bad key", &failed("unexpected status 401 Unauthorized"), Some(Auth), None),
            ("no credit", &failed("Quota exceeded. Check your plan and billing details."), Some(Billing), None),
            (
                "context overflow",
                &failed("Codex ran out of room in the model's context window."),
                Some(ContextFull),
                None,
            ),
            ("stream cut", &failed("stream disconnected before completion"), Some(Overloaded), None),
            ("error inside a stream", &failed("Selected model is at capacity."), Some(Overloaded), None),
            ("anything else", &failed("something odd"), Some(Agent), None),
            ("one retry", retried, None, None),
        ],
    );
}

#[test]
fn gemini_says_why_it_failed_or_its_words_around_the_events_do() {
    let failed = |fields: &str| format!("{{\"type\":\"result\",\"status\":\"error\",\"error\":{{{fields}}}}}\n");
    let told = |severity: &str, message: &str| {
        format!("{{\"type\":\"error\",\"severity\":\"{severity}\",\"message\":\"{message}\"}}\n")
    };
    let unsaid = "{\"type\":\"result\",\"status\":\"error\"}\n";
    check(
        Parser::GeminiStreamJson,
        &[
            (
                "429",
                &failed("\"message\":\"429 Too Many Requests. Suggested retry after 3600s\""),
                Some(RateLimited),
                Some(3600),
            ),
            ("bad key", &failed("\"type\":\"FatalAuthenticationError\",\"message\":\"no\""), Some(Auth), None),
            ("turn limit", &failed("\"type\":\"FatalTurnLimitedError\",\"message\":\"no\""), Some(MaxTurns), None),
            (
                "context overflow",
                &failed("\"message\":\"The input token count exceeds the limit\""),
                Some(ContextFull),
                None,
            ),
            ("stream cut", &failed("\"message\":\"Premature close\""), Some(Overloaded), None),
            (
                "stream cut, said before the account",
                &format!("{}{unsaid}", told("error", "Model stream ended without a finish reason.")),
                Some(Overloaded),
                None,
            ),
            (
                "429, said before the account",
                &format!("{}{unsaid}", told("error", "429, retry after 60s")),
                Some(RateLimited),
                Some(60),
            ),
            (
                "a reason of its own",
                &format!("{}{}", told("error", "503"), failed("\"message\":\"no\"")),
                Some(Agent),
                None,
            ),
            ("a mere warning", &format!("{}{unsaid}", told("warning", "503")), Some(Agent), None),
            ("no reason at all", unsaid, Some(Agent), None),
            (
                "error inside a stream",
                "{\"type\":\"error\",\"severity\":\"error\",\"message\":\"503\"}\n{\"type\":\"result\",\"status\":\"success\"}\n",
                None,
                None,
            ),
        ],
    );
    let words = scanned(Parser::GeminiStreamJson, "Quota hit. Suggested retry after 3600s.\n");
    assert_eq!((words.class, words.hint), (None, Some(RateLimited)), "only the exit code proves it");
    assert_eq!(words.until, Some(Timestamp(NOW + 3_600_000)));
}

#[test]
fn opencode_says_why_it_failed() {
    let failed = |name: &str, data: &str| {
        format!(
            "{{\"type\":\"error\",\"sessionID\":\"ses_1\",\"error\":{{\"name\":\"{name}\",\"data\":{{{data}}}}}}}\n"
        )
    };
    let header = "\"statusCode\":429,\"message\":\"slow down\",\"responseHeaders\":{\"retry-after\":\"60\"}";
    let finished = "{\"type\":\"step_finish\",\"sessionID\":\"ses_1\",\"part\":{\"reason\":\"stop\"}}\n";
    check(
        Parser::OpencodeJsonl,
        &[
            ("429", &failed("APIError", header), Some(RateLimited), Some(60)),
            ("overloaded", &failed("APIError", "\"statusCode\":529,\"message\":\"x\""), Some(Overloaded), None),
            ("bad key", &failed("APIError", "\"statusCode\":401,\"message\":\"x\""), Some(Auth), None),
            ("no key", &failed("ProviderAuthError", "\"message\":\"x\""), Some(Auth), None),
            (
                "no credit",
                &failed("APIError", "\"statusCode\":429,\"message\":\"insufficient_quota\""),
                Some(Billing),
                None,
            ),
            (
                "context overflow",
                &failed("APIError", "\"statusCode\":400,\"message\":\"prompt is too long\""),
                Some(ContextFull),
                None,
            ),
            ("anything else", &failed("UnknownError", "\"message\":\"x\""), Some(Agent), None),
            ("it got on", &format!("{}{finished}", failed("APIError", header)), None, None),
        ],
    );
}

#[test]
fn qwen_says_why_it_failed_in_claudes_form() {
    let failed = |message: &str| {
        format!(
            "{{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,\"error\":{{\"message\":\"{message}\"}}}}\n"
        )
    };
    check(
        Parser::ClaudeStreamJson,
        &[
            ("bad key", &failed("[API Error: 401 Incorrect API key provided]"), Some(Auth), None),
            ("429", &failed("[API Error: 429 Rate limit, please try again in 20s]"), Some(RateLimited), Some(20)),
            (
                "turn limit",
                "{\"type\":\"result\",\"subtype\":\"error_max_turns\",\"is_error\":true}\n",
                Some(MaxTurns),
                None,
            ),
        ],
    );
}

#[test]
fn copilot_says_why_it_failed() {
    let failed = |data: &str| {
        format!(
            "{{\"type\":\"session.error\",\"data\":{{{data}}}}}\n{{\"type\":\"result\",\"sessionId\":\"c\",\"exitCode\":1}}\n"
        )
    };
    check(
        Parser::CopilotJsonl,
        &[
            (
                "429",
                &failed("\"errorType\":\"rate_limit\",\"statusCode\":429,\"message\":\"try again in 1 hour\""),
                Some(RateLimited),
                Some(3600),
            ),
            ("bad key", &failed("\"errorType\":\"authentication\",\"message\":\"x\""), Some(Auth), None),
            ("stream cut", &failed("\"errorType\":\"query\",\"message\":\"terminated\""), Some(Overloaded), None),
            (
                "error inside a stream",
                &failed("\"errorType\":\"query\",\"statusCode\":503,\"message\":\"x\""),
                Some(Overloaded),
                None,
            ),
            (
                "it got on",
                "{\"type\":\"session.error\",\"data\":{\"errorType\":\"rate_limit\"}}\n{\"type\":\"result\",\"exitCode\":0}\n",
                None,
                None,
            ),
        ],
    );
}

#[test]
fn our_acp_client_says_why_it_failed() {
    check(
        Parser::Acp,
        &[
            (
                "limit",
                "{\"type\":\"end\",\"stopReason\":\"error\",\"class\":\"rate-limited\",\"until\":1795294800}\n",
                Some(RateLimited),
                Some(3600),
            ),
            (
                "in words",
                "{\"type\":\"end\",\"stopReason\":\"error\",\"message\":\"401 Unauthorized\"}\n",
                Some(Auth),
                None,
            ),
            ("turn limit", "{\"type\":\"end\",\"stopReason\":\"max_turn_requests\"}\n", Some(MaxTurns), None),
            ("unknown class", "{\"type\":\"end\",\"stopReason\":\"error\",\"class\":\"odd\"}\n", Some(Agent), None),
            ("success", "{\"type\":\"end\",\"stopReason\":\"end_turn\"}\n", None, None),
        ],
    );
}

#[test]
fn claude_tells_what_the_agent_does() {
    let (transcript, entries) = told(
        Parser::ClaudeStreamJson,
        &[b"{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\",\"model\":\"opus\"}\n\
           {\"type\":\"something-new\"}\nnoise\n{broken\n\
           {\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\"},\
           {\"type\":\"text\",\"text\":\"I look.\"},{\"type\":\"tool_use\",\"name\":\"Bash\",\"input\":{\"command\":\"git log\"}},\
           {\"type\":\"tool_use\",\"name\":\"Write\",\"input\":{\"file_path\":\"a.rs\",\"content\":\"x\"}}]}}\n\
           {\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\",\"is_error\":true,\"content\":\"no\"}]}}\n\
           {\"type\":\"result\",\"is_error\":false,\"result\":\"All\\u001b done\",\"num_turns\":3,\"permission_denials\":[{}],\
           \"structured_output\":{\"version\":1}}\n"],
    );
    let expected = [
        (Kind::Session, "s-1, model opus"),
        (Kind::Output, "noise"),
        (Kind::Thought, "hm"),
        (Kind::Message, "I look."),
        (Kind::Tool, "Bash: git log"),
        (Kind::File, "a.rs"),
        (Kind::Notice, "the tool failed: no"),
        (Kind::End, "success after 3 turns"),
    ];
    assert_eq!(entries, expected.map(|(kind, text)| (kind, text.to_owned())));
    assert_eq!((transcript.session.as_deref(), transcript.model.as_str()), (Some("s-1"), "opus"));
    assert_eq!((transcript.said.as_str(), transcript.denied), ("All\\x1b done", 1));
    assert_eq!(transcript.structured.as_deref(), Some(&b"{\"version\":1}"[..]));
}

#[test]
fn a_failed_or_shortened_answer_is_none() {
    let answer = |fields: &str| {
        let line =
            format!("{{\"type\":\"result\",{fields},\"structured_output\":{{\"version\":1,\"x\":\"{}\"}}}}\n", "y");
        scanned(Parser::ClaudeStreamJson, &line).structured
    };
    assert!(answer("\"is_error\":false").is_some());
    assert_eq!(answer("\"is_error\":true"), None);
    assert!(answer(&format!("\"is_error\":false,\"result\":\"{}\"", "z".repeat(9_000_000))).is_some());
    let long = format!(
        "{{\"type\":\"result\",\"structured_output\":{{\"version\":1,\"x\":\"{}\"}}}}\n",
        "y".repeat(9_000_000)
    );
    assert_eq!(scanned(Parser::ClaudeStreamJson, &long).structured, None, "half a review is no review");
    assert_eq!(scanned(Parser::ClaudeStreamJson, "{\"type\":\"result\",\"result\":\"LGTM\"}\n").structured, None);
    let acp = |text: &str| {
        scanned(Parser::Acp, &format!("{{\"type\":\"answer\",\"text\":{}}}\n", serde_json::json!(text))).structured
    };
    assert_eq!(acp(" {\"version\":1} ").as_deref(), Some(&b"{\"version\":1}"[..]));
    assert_eq!((acp("LGTM {}"), acp("[1]")), (None, None));
}

#[test]
fn codex_tells_what_the_agent_does() {
    let (transcript, entries) = told(
        Parser::CodexJsonl,
        &[b"{\"type\":\"thread.started\",\"thread_id\":\"t-9\"}\n\
           {\"type\":\"item.started\",\"item\":{\"id\":\"i1\",\"type\":\"command_execution\",\"command\":\"ls\"}}\n\
           {\"type\":\"item.completed\",\"item\":{\"id\":\"i1\",\"type\":\"command_execution\",\"command\":\"ls\",\"exit_code\":0}}\n\
           {\"type\":\"item.completed\",\"item\":{\"id\":\"i2\",\"type\":\"file_change\",\"changes\":[{\"path\":\"a.rs\"},{\"path\":\"b.rs\"}]}}\n\
           {\"type\":\"item.completed\",\"item\":{\"id\":\"i3\",\"type\":\"agent_message\",\"text\":\"Done.\"}}\n\
           {\"type\":\"error\",\"message\":\"Reconnecting... 1/1\"}\n\
           {\"type\":\"turn.completed\",\"usage\":{}}\n"],
    );
    let expected = [
        (Kind::Session, "t-9"),
        (Kind::Tool, "shell: ls"),
        (Kind::File, "a.rs"),
        (Kind::File, "b.rs"),
        (Kind::Message, "Done."),
        (Kind::Notice, "Reconnecting... 1/1"),
        (Kind::End, "success"),
    ];
    assert_eq!(entries, expected.map(|(kind, text)| (kind, text.to_owned())));
    assert_eq!((transcript.session.as_deref(), transcript.said.as_str()), (Some("t-9"), "Done."));
}

#[test]
fn gemini_says_its_messages_in_pieces() {
    let (transcript, entries) = told(
        Parser::GeminiStreamJson,
        &[b"{\"type\":\"init\",\"session_id\":\"g\",\"model\":\"gemini-3\"}\n\
           {\"type\":\"message\",\"role\":\"user\",\"content\":\"the prompt\"}\n\
           {\"type\":\"message\",\"role\":\"assistant\",\"content\":\"I w\",\"delta\":true}\n\
           {\"type\":\"message\",\"role\":\"assistant\",\"content\":\"rite.\",\"delta\":true}\n\
           {\"type\":\"tool_use\",\"tool_name\":\"write_file\",\"parameters\":{\"file_path\":\"a.txt\"}}\n\
           {\"type\":\"tool_result\",\"status\":\"success\",\"output\":\"ok\"}\n\
           {\"type\":\"message\",\"role\":\"assistant\",\"content\":\"Done\",\"delta\":true}\n"],
    );
    let expected = [
        (Kind::Session, "g, model gemini-3"),
        (Kind::Message, "I write."),
        (Kind::File, "a.txt"),
        (Kind::Message, "Done"),
    ];
    assert_eq!(entries, expected.map(|(kind, text)| (kind, text.to_owned())));
    assert_eq!(transcript.said, "Done");
}

#[test]
fn opencode_and_copilot_tell_what_the_agent_does() {
    let (transcript, entries) = told(
        Parser::OpencodeJsonl,
        &[b"{\"type\":\"tool_use\",\"sessionID\":\"ses_1\",\"part\":{\"tool\":\"bash\",\"state\":{\"status\":\"completed\",\"input\":{\"command\":\"ls\"}}}}\n\
           {\"type\":\"text\",\"sessionID\":\"ses_1\",\"part\":{\"text\":\"Done\"}}\n\
           {\"type\":\"step_finish\",\"sessionID\":\"ses_1\",\"part\":{\"reason\":\"stop\"}}\n"],
    );
    let expected = [
        (Kind::Session, "ses_1"),
        (Kind::Tool, "bash: ls"),
        (Kind::Message, "Done"),
        (Kind::End, "stop after 1 steps"),
    ];
    assert_eq!(entries, expected.map(|(kind, text)| (kind, text.to_owned())));
    assert_eq!(transcript.session.as_deref(), Some("ses_1"));
    let (transcript, entries) = told(
        Parser::CopilotJsonl,
        &[b"{\"type\":\"session.tools_updated\",\"data\":{\"model\":\"gpt-5\"},\"ephemeral\":true}\n\
           {\"type\":\"tool.execution_start\",\"data\":{\"toolName\":\"bash\",\"arguments\":{\"command\":\"ls\"}}}\n\
           {\"type\":\"assistant.message\",\"data\":{\"content\":\"Done\"}}\n\
           {\"type\":\"result\",\"sessionId\":\"c-1\",\"exitCode\":0}\n"],
    );
    let expected = [
        (Kind::Tool, "bash: ls"),
        (Kind::Message, "Done"),
        (Kind::Session, "c-1, model gpt-5"),
        (Kind::End, "success"),
    ];
    assert_eq!(entries, expected.map(|(kind, text)| (kind, text.to_owned())));
    assert_eq!((transcript.session.as_deref(), transcript.model.as_str()), (Some("c-1"), "gpt-5"));
}

#[test]
fn our_acp_client_tells_what_the_agent_does() {
    let (transcript, entries) = told(
        Parser::Acp,
        &[b"{\"type\":\"session\",\"id\":\"a-1\",\"model\":\"m\"}\n\
           {\"type\":\"update\",\"kind\":\"message\",\"text\":\"Do\",\"delta\":true}\n\
           {\"type\":\"usage\",\"input\":1,\"cumulative\":true}\n\
           {\"type\":\"update\",\"kind\":\"message\",\"text\":\"ne\",\"delta\":true}\n\
           {\"type\":\"update\",\"kind\":\"tool\",\"text\":\"ls\"}\n\
           {\"type\":\"permission\",\"tool\":\"git push\",\"decision\":\"refuse\",\"why\":\"it leaves\"}\n\
           {\"type\":\"end\",\"stopReason\":\"end_turn\"}\n"],
    );
    let expected = [
        (Kind::Session, "a-1, model m"),
        (Kind::Message, "Done"),
        (Kind::Tool, "ls"),
        (Kind::Permission, "refused git push: it leaves"),
        (Kind::End, "end_turn"),
    ];
    assert_eq!(entries, expected.map(|(kind, text)| (kind, text.to_owned())));
    assert_eq!((transcript.said.as_str(), transcript.denied), ("Done", 1));
}

#[test]
fn claude_counts_by_session_and_qwen_by_run() {
    let of = |fields: &str| {
        let transcript =
            scanned(Parser::ClaudeStreamJson, &format!("{{\"type\":\"result\",\"is_error\":false{fields}}}\n"));
        (transcript.usage, transcript.counting)
    };
    let (usage, counting) =
        of(",\"total_cost_usd\":0.2104567,\"usage\":{\"input_tokens\":1},\"modelUsage\":{\"m\":{\"inputTokens\":10,\
         \"outputTokens\":5,\"cacheReadInputTokens\":100},\"n\":{\"inputTokens\":1,\"cacheCreationInputTokens\":7}}");
    let expected = Usage {
        micro_usd: Some(210_457),
        tokens: Some(123),
        input: Some(11),
        output: Some(5),
        cache_read: Some(100),
        cache_write: Some(7),
    };
    assert_eq!((usage, counting), (expected, Counting { cost: true, tokens: true }));
    let (usage, counting) = of(",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}");
    assert_eq!((usage.tokens, usage.micro_usd, counting), (Some(7), None, Counting::default()));
    let (usage, _) = of(",\"total_cost_usd\":0.5,\"modelUsage\":{\"m\":{\"inputTokens\":1,\"costBasis\":\"unknown\"}}");
    assert_eq!(usage.micro_usd, None, "a price that it does not know");
    assert_eq!(of(",\"total_cost_usd\":0").0.micro_usd, Some(0));
    assert_eq!(of(",\"total_cost_usd\":-1e300").0, Usage::default());
}

#[test]
fn the_others_say_what_they_consumed_and_nothing_is_guessed() {
    let codex = "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":50,\"cached_input_tokens\":40,\"output_tokens\":7}}\n";
    let codex = scanned(Parser::CodexJsonl, codex);
    assert_eq!((codex.usage.tokens, codex.usage.input, codex.usage.cache_read), (Some(57), Some(10), Some(40)));
    assert_eq!(codex.counting, Counting { cost: false, tokens: true });
    let gemini = "{\"type\":\"result\",\"status\":\"success\",\"stats\":{\"total_tokens\":20,\"input_tokens\":9,\"output_tokens\":4,\
                  \"cached\":3,\"models\":{\"pro\":{\"total_tokens\":20,\"input_tokens\":9,\"output_tokens\":4,\"cached\":3}}}}\n";
    let gemini = scanned(Parser::GeminiStreamJson, gemini);
    let expected =
        Usage { tokens: Some(20), input: Some(6), output: Some(11), cache_read: Some(3), ..Usage::default() };
    assert_eq!((gemini.usage, gemini.counting), (expected, Counting::default()), "what was thought was written");
    assert_eq!(gemini.by_model, [("pro".to_owned(), expected)]);
    let step = |cost: &str| {
        format!(
            "{{\"type\":\"step_finish\",\"sessionID\":\"s\",\"part\":{{\"cost\":{cost},\"tokens\":{{\"input\":5,\"output\":2,\"reasoning\":1,\"cache\":{{\"read\":4,\"write\":0}}}}}}}}\n"
        )
    };
    let opencode = scanned(Parser::OpencodeJsonl, &format!("{}{}", step("0.01"), step("0.02"))).usage;
    assert_eq!((opencode.micro_usd, opencode.tokens, opencode.output), (Some(30_000), Some(24), Some(6)));
    let free = scanned(Parser::OpencodeJsonl, &format!("{}{}", step("0.01"), step("0"))).usage;
    assert_eq!((free.micro_usd, free.tokens), (None, Some(24)), "tokens for nothing have no known price");
    let acp = "{\"type\":\"usage\",\"input\":5,\"cumulative\":true}\n{\"type\":\"usage\",\"costUsd\":0.5,\"cumulative\":true}\n";
    let acp = scanned(Parser::Acp, acp);
    assert_eq!((acp.usage.input, acp.usage.micro_usd, acp.counting.cost), (Some(5), Some(500_000), true));
    let turns = "{\"type\":\"usage\",\"input\":5}\n{\"type\":\"usage\",\"input\":6}\n";
    assert_eq!(scanned(Parser::Acp, turns).usage.input, Some(11));
}

#[test]
fn of_a_log_with_a_gap_only_final_accounts_count() {
    let mark = "[git-orchestrate: about 123 bytes of output left out here]\n";
    let step = "{\"type\":\"step_finish\",\"sessionID\":\"s\",\"part\":{\"cost\":0.01,\"tokens\":{\"input\":5}}}\n";
    let opencode = scanned(Parser::OpencodeJsonl, &format!("{step}{mark}{step}"));
    assert_eq!((opencode.usage, opencode.gap), (Usage::default(), true), "a part of the sum is no sum");
    let codex = "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":50,\"output_tokens\":7}}\n";
    assert_eq!(scanned(Parser::CodexJsonl, &format!("{mark}{codex}")).usage.tokens, Some(57));
}

#[test]
fn the_hole_of_a_log_is_passed_over() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("output.log");
    let file = File::create(&path).unwrap();
    file.write_all_at(b"{\"type\":\"system\",\"session_id\":\"s-1\"}\n{\"type\":\"result\",\"is_e", 0).unwrap();
    // Longer than could be read: 4 GiB.
    let end = b"half of it\"}\n{\"type\":\"result\",\"is_error\":false,\"result\":\"end\"}\n";
    file.write_all_at(end, 4 << 30).unwrap();
    let transcript = read(&path, Parser::ClaudeStreamJson);
    assert_eq!((transcript.session.as_deref(), transcript.said.as_str()), (Some("s-1"), "end"));
    assert!(transcript.gap);
}

const PARSERS: [Parser; 7] = [
    Parser::Plain,
    Parser::ClaudeStreamJson,
    Parser::CodexJsonl,
    Parser::GeminiStreamJson,
    Parser::OpencodeJsonl,
    Parser::CopilotJsonl,
    Parser::Acp,
];

/// Lines that are events of some client, in part.
fn line() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec![
        "result",
        "assistant",
        "message",
        "usage",
        "end",
        "answer",
        "update",
        "step_finish",
        "item.completed",
        "turn.failed",
        "turn.completed",
        "session.error",
        "error",
        "rate_limit_event",
        "text",
        "tool_use",
    ]);
    let field = prop::sample::select(vec![
        "\"is_error\":true",
        "\"result\":\"429 in 5s\"",
        "\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}",
        "\"usage\":{\"input_tokens\":3}",
        "\"modelUsage\":{\"m\":{\"inputTokens\":1}}",
        "\"modelUsage\":[1]",
        "\"part\":7",
        "\"total_cost_usd\":1e308",
        "\"role\":\"assistant\",\"content\":\"x\",\"delta\":true",
        "\"error\":{\"message\":\"\\ud83d\"}",
        "\"session_id\":\"s\"",
        "\"item\":{\"type\":\"file_change\",\"changes\":[{\"path\":\"a\"}]}",
        "\"until\":18446744073709551615",
        "\"data\":{\"errorType\":\"rate_limit\"}",
        "\"kind\":\"message\",\"text\":\"t\",\"delta\":true",
    ]);
    prop_oneof![
        4 => (kind, prop::collection::vec(field, 0..4))
            .prop_map(|(kind, fields)| format!("{{\"type\":\"{kind}\"{}}}", fields.iter().map(|f| format!(",{f}")).collect::<String>())),
        1 => ".{0,40}",
    ]
}

proptest! {
    #[test]
    fn any_stream_in_any_pieces_is_the_same_transcript(
        lines in prop::collection::vec(line(), 0..12),
        noise in prop::collection::vec(any::<u8>(), 0..60),
        cuts in prop::collection::vec(0usize..2000, 0..12),
    ) {
        let mut bytes = lines.join("\n").into_bytes();
        bytes.extend(noise);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        for parser in PARSERS {
            prop_assert_eq!(told(parser, &pieces), told(parser, &[&bytes]));
        }
    }
}

//! Tests of classes: one failure in the words of several clients.

use serde_json::json;

use super::*;

#[test]
fn each_client_has_its_own_words_for_a_failure() {
    for (error, expected) in [
        (json!({"code": -32603, "message": "x", "data": {"errorKind": "rate_limit"}}), FailureClass::RateLimited),
        (json!({"code": -32603, "message": "x", "data": {"errorKind": "overloaded"}}), FailureClass::Overloaded),
        (json!({"code": -32603, "message": "x", "data": {"errorKind": "authentication_failed"}}), FailureClass::Auth),
        (json!({"code": -32603, "message": "x", "data": {"errorKind": "billing_error"}}), FailureClass::Billing),
        (
            json!({"code": -32603, "message": "Prompt is too long", "data": {"errorKind": "invalid_request"}}),
            FailureClass::ContextFull,
        ),
        (
            json!({"code": -32603, "message": "x", "data": {"codexErrorInfo": "usageLimitExceeded"}}),
            FailureClass::RateLimited,
        ),
        (
            json!({"code": -32603, "message": "x", "data": {"codexErrorInfo": "serverOverloaded"}}),
            FailureClass::Overloaded,
        ),
        (
            json!({"code": -32603, "message": "x", "data": {"codexErrorInfo": "contextWindowExceeded"}}),
            FailureClass::ContextFull,
        ),
        (
            json!({"code": -32603, "message": "x", "data": {"codexErrorInfo": {"responseTooManyFailedAttempts": {"httpStatusCode": 429}}}}),
            FailureClass::RateLimited,
        ),
        (
            json!({"code": -32603, "message": "x", "data": {"codexErrorInfo": {"httpConnectionFailed": {"httpStatusCode": 401}}}}),
            FailureClass::Auth,
        ),
        (
            json!({"code": -32603, "message": "x", "data": {"codexErrorInfo": {"responseStreamDisconnected": {}}}}),
            FailureClass::Overloaded,
        ),
        (json!({"code": 429, "message": "Rate limit exceeded. Try again later."}), FailureClass::RateLimited),
        (json!({"code": 500, "message": "x"}), FailureClass::Overloaded),
        (json!({"code": 401, "message": "x"}), FailureClass::Auth),
        (json!({"code": -32000, "message": "Authentication required"}), FailureClass::Auth),
        (
            json!({"code": -32603, "message": "Internal error", "data": {"details": "429 Too Many Requests"}}),
            FailureClass::RateLimited,
        ),
        (json!({"code": -32603, "message": "something else"}), FailureClass::Agent),
        (json!({}), FailureClass::Agent),
    ] {
        assert_eq!(class(&error), expected, "{error}");
    }
}

#[test]
fn a_reset_time_is_taken_where_there_is_a_number() {
    assert_eq!(until(&json!({"data": {"resetsAt": 1_795_294_800_u64}})), Some(1_795_294_800));
    assert_eq!(until(&json!({"data": {"rate_limit_info": {"resetsAt": 1_795_294_800_000_u64}}})), Some(1_795_294_800));
    assert_eq!(until(&json!({"data": {"resetsAt": "soon"}})), None);
    assert_eq!(until(&json!({"message": "x"})), None);
}

#[test]
fn a_last_message_is_an_error_only_where_nothing_was_done() {
    let limited = "Execution failed: Error: 429 rate limit exceeded";
    assert_eq!(of_last_message(limited, 0), Some(FailureClass::RateLimited));
    assert_eq!(of_last_message(limited, 1), None);
    assert_eq!(of_last_message("Error: something odd", 0), Some(FailureClass::Agent));
    assert_eq!(of_last_message("I added handling of 429 to the client.", 0), None);
    assert_eq!(of_last_message("", 0), None);
    assert_eq!(of_last_message(&format!("Error: {}", "x".repeat(3000)), 0), None);
}

#[test]
fn words_name_message_and_details_once() {
    assert_eq!(
        words(&json!({"message": "Internal error", "data": {"details": "no model"}})),
        "Internal error: no model"
    );
    assert_eq!(words(&json!({"message": "no model", "data": {"message": "no model"}})), "no model");
    assert_eq!(words(&json!({})), "an error without a message");
}

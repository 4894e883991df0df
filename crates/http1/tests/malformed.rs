//! Every malformed message of the corpus is refused with its status and code, however its bytes come.

mod corpus;

use corpus::Case;
use http::Method;
use http1::{Limits, RequestFault, RequestHead, ResponseFault, ResponseHead, parse_request, parse_response};

/// Feeds the bytes in growing prefixes, `step` bytes more each time, as a connection that keeps its buffer would.
fn feed<Fault>(
    bytes: &[u8],
    step: usize,
    mut parse: impl FnMut(&[u8], &mut usize) -> Result<Option<usize>, Fault>,
) -> Result<Option<usize>, Fault> {
    let mut scanned = 0;
    let mut end = 0;
    while end < bytes.len() {
        end = (end + step).min(bytes.len());
        if let Some(taken) = parse(&bytes[..end], &mut scanned)? {
            return Ok(Some(taken));
        }
    }
    Ok(None)
}

fn request(bytes: &[u8], step: usize) -> Result<Option<usize>, RequestFault> {
    let mut head = RequestHead::default();
    feed(bytes, step, |bytes, scanned| parse_request(bytes, scanned, &Limits::default(), &mut head))
}

fn answer(bytes: &[u8], step: usize) -> Result<Option<usize>, ResponseFault> {
    let mut head = ResponseHead::default();
    feed(bytes, step, |bytes, scanned| {
        parse_response(bytes, scanned, &Limits::default(), &Method::GET, &mut head)
    })
}

/// The names of the cases for which `refuse` does not say what the file does, with what it says.
fn disagreements(cases: &[Case], refuse: impl Fn(&[u8], usize) -> Result<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for case in cases {
        for step in [case.bytes.len(), 1, 7] {
            let expected = format!("{} {}", case.status, case.code);
            match refuse(&case.bytes, step) {
                Err(refusal) if refusal == expected => {}
                other => found.push(format!("{} by {step}: {other:?}, not {expected}", case.name)),
            }
        }
    }
    found
}

#[test]
fn every_malformed_request_meets_its_refusal() {
    let cases = corpus::read(include_str!("corpus/malformed-requests.txt"));
    assert!(cases.len() >= 150);
    let found = disagreements(&cases, |bytes, step| match request(bytes, step) {
        Ok(taken) => Ok(format!("{taken:?}")),
        Err(fault) => Err(format!("{} {}", fault.status().as_u16(), fault.code())),
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_malformed_answer_meets_its_refusal() {
    let cases = corpus::read(include_str!("corpus/malformed-answers.txt"));
    assert!(cases.len() >= 50);
    let found = disagreements(&cases, |bytes, step| match answer(bytes, step) {
        Ok(taken) => Ok(format!("{taken:?}")),
        Err(fault) => Err(format!("502 {}", fault.code())),
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_names_of_the_cases_are_their_own() {
    for text in [include_str!("corpus/malformed-requests.txt"), include_str!("corpus/malformed-answers.txt")]
    {
        let mut names: Vec<String> = corpus::read(text).into_iter().map(|case| case.name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

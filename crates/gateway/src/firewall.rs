//! The firewall of a route: what `waf` says, and what was found in a request. The engine is the crate `waf`; the policies that show it
//! heads and bodies are in `policies/admit/waf.rs` and `policies/validate/waf.rs`.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use http1::{Framing, Known, RequestHead};
use waf::{Hit, Inspector, Interest, Options, Report, Request, Scratch};

use crate::config::{Waf, WafMode};

/// What a route's `waf` says, compiled.
#[derive(Debug)]
pub struct Firewall {
    inspector: Inspector,
    blocks: bool,
    /// Bytes of a body that is looked at.
    pub max_body: u64,
    /// Whether longer bodies are sent on after a look at their start.
    pub is_cut: bool,
    is_redacted: bool,
    summary: Box<str>,
}

/// What was found in one request.
#[derive(Debug)]
pub struct Findings {
    report: Report,
    /// Whether it reaches the threshold.
    pub is_attack: bool,
    /// Whether it was refused for it.
    pub is_blocked: bool,
    is_redacted: bool,
    secret_parameters: Arc<[Box<str>]>,
}

thread_local! {
    /// The worker's memory for looking at requests.
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

#[derive(Debug, Default)]
struct Workspace {
    scratch: Scratch,
    /// The names of header fields in small letters, one after the other, and where each ends.
    names: String,
    ends: Vec<usize>,
}

impl Firewall {
    /// Compiles the configuration.
    pub fn new(config: &Waf) -> Self {
        let Waf { mode, paranoia, threshold, exclude, max_body, redact, .. } = config;
        let options = Options { paranoia: *paranoia as u8, threshold: *threshold, exclude: exclude.clone() };
        Self {
            inspector: Inspector::new(options),
            blocks: *mode == WafMode::Block,
            max_body: max_body.bytes(),
            is_cut: config.is_cut(),
            is_redacted: *redact,
            summary: config.to_string().into(),
        }
    }

    /// Looks at a request's head.
    pub fn inspect_head(&self, head: &RequestHead, report: &mut Report) {
        let request = Request {
            method: head.method.as_str(),
            path: head.path.as_bytes(),
            query: head.query().map(str::as_bytes),
        };
        WORKSPACE.with_borrow_mut(|Workspace { scratch, names, ends }| {
            names.clear();
            ends.clear();
            for field in head.fields.iter() {
                names.extend(field.name.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                ends.push(names.len());
            }
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let names = starts.zip(ends.iter()).map(|(start, end)| &names[start..*end]);
            let fields = names.zip(head.fields.iter().map(|field| field.value));
            let host = (!head.authority.is_empty()).then_some(("host", head.authority.as_bytes()));
            // How long the body is has been looked at by the parser; here it counts that there is one.
            let body = (head.framing != Framing::None).then_some(("content-length", b"1".as_slice()));
            let fields = host.into_iter().chain(body).chain(fields);
            self.inspector.inspect_head(&request, fields, scratch, report);
        });
    }

    /// Whether the body of a request is looked at.
    pub fn interest(head: &RequestHead) -> Interest {
        match head.framing {
            Framing::None => Interest::Never,
            _ => Interest::of(head.fields.get(Known::ContentType)),
        }
    }

    /// Looks at a request's body, or its start.
    pub fn inspect_body(&self, head: &RequestHead, body: &[u8], report: &mut Report) {
        let content_type = head.fields.get(Known::ContentType);
        WORKSPACE.with_borrow_mut(|Workspace { scratch, .. }| {
            self.inspector.inspect_body(content_type, body, scratch, report);
        });
    }

    /// Whether a request in which this was found is refused.
    pub fn blocks(&self, report: &Report) -> bool {
        self.blocks && self.inspector.blocks(report)
    }

    /// What is told of a request in which something was found.
    pub fn findings(&self, report: Report, secret_parameters: &Arc<[Box<str>]>) -> Findings {
        let is_attack = self.inspector.blocks(&report);
        Findings {
            is_attack,
            is_blocked: self.blocks && is_attack,
            report,
            is_redacted: self.is_redacted,
            secret_parameters: Arc::clone(secret_parameters),
        }
    }
}

impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl Findings {
    /// The points of all rules that matched.
    pub fn score(&self) -> u32 {
        self.report.total()
    }

    /// What matched, in the order in which it stands in the request.
    pub fn hits(&self) -> &[Hit] {
        self.report.hits()
    }

    /// The categories that have points.
    pub fn categories(&self) -> impl Iterator<Item = &'static str> {
        let with_points = |category: &waf::Category| self.report.score(*category) > 0;
        waf::Category::ALL.into_iter().filter(with_points).map(waf::Category::as_str)
    }

    /// The bytes that matched, where a log may hold them.
    pub fn shown<'h>(&self, hit: &'h Hit) -> Option<&'h [u8]> {
        (!self.is_redacted && !self.is_secret(&hit.place)).then_some(&hit.matched)
    }

    /// What was found so far, to add to it; what is told of it is made anew.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// Whether a place may hold a secret, by its name.
    fn is_secret(&self, place: &str) -> bool {
        let name = place.strip_suffix("(name)").unwrap_or(place);
        let Some((part, name)) = name.split_once('.') else { return false };
        let name = name.to_ascii_lowercase();
        part == "cookie"
            || part == "query"
                && self.secret_parameters.iter().any(|secret| secret.eq_ignore_ascii_case(&name))
            || SECRET.iter().any(|word| name.contains(word))
    }
}

/// What names of secrets have in them.
const SECRET: [&str; 10] =
    ["pass", "pwd", "secret", "token", "auth", "api-key", "api_key", "apikey", "session", "signature"];

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and values of header fields.
    type Sent<'s> = &'s [(&'s str, &'s str)];

    fn head(target: &str, fields: Sent<'_>) -> RequestHead {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut head = RequestHead {
            path: path.to_owned(),
            query: query.to_owned(),
            has_query: target.contains('?'),
            authority: "shop.example".to_owned(),
            ..RequestHead::default()
        };
        for (name, value) in fields {
            head.fields.append_named(name.as_bytes(), value.as_bytes());
        }
        head
    }

    fn findings(config: &Waf, head: &RequestHead) -> Findings {
        let firewall = Firewall::new(config);
        let mut report = Report::default();
        firewall.inspect_head(head, &mut report);
        firewall.findings(report, &Arc::from(["key".into()]))
    }

    #[test]
    fn attacks_are_found_in_all_parts_of_a_head_whatever_the_case_of_names() {
        const ATTACK: &str = "1' or '1'='1' -- ";
        let sent: [(&str, Sent, &str); 4] = [
            ("/?q=1%27%20or%20%271%27=%271%27%20--%20", &[], "query.q"),
            ("/", &[("X-Search", ATTACK)], "header.x-search"),
            ("/", &[("Accept", "*/*"), ("USER-AGENT", ATTACK)], "header.user-agent"),
            ("/", &[("Cookie", "theme=1' or '1'='1' -- ")], "cookie.theme"),
        ];
        for (target, fields, place) in sent {
            let findings = findings(&Waf::default(), &head(target, fields));
            assert!(findings.is_blocked, "{target} {fields:?}");
            let hit = findings.hits().iter().find(|hit| hit.rule.category == waf::Category::Sql);
            assert_eq!(hit.map(|hit| hit.place.as_str()), Some(place), "{:?}", findings.hits());
            assert!(findings.categories().any(|category| category == "sql"));
        }
    }

    #[test]
    fn usual_requests_pass() {
        let fields = [("User-Agent", "curl/8.5.0"), ("Accept", "*/*"), ("X-Note", "it's a select few")];
        let findings = findings(&Waf::default(), &head("/users/42?q=O%27Neill", &fields));
        assert_eq!((findings.score(), findings.is_blocked), (0, false));
    }

    #[test]
    fn detection_blocks_nothing_and_logs_hold_no_secrets() {
        let config = Waf { mode: WafMode::Detect, ..Waf::default() };
        let target = "/?q=<script>alert(1)</script>&key=<script>alert(1)</script>&pw_Password=<script>alert(1)</script>";
        let fields = [("Cookie", "a=<script>alert(1)</script>")];
        let found = findings(&config, &head(target, &fields));
        assert!(!found.is_blocked && found.score() >= 5);
        for hit in found.hits() {
            assert_eq!(found.shown(hit).is_some(), hit.place == "query.q", "{}", hit.place);
        }
        let silent = findings(&Waf { redact: true, ..config }, &head(target, &fields));
        assert!(silent.hits().iter().all(|hit| silent.shown(hit).is_none()));
    }
}

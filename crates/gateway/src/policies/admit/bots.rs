//! `bots`: which programs may call, by what they say of themselves.
//!
//! All parts are looked for at once, in one pass over the field whatever their number, by automata that cores share without a lock.

use aho_corasick::AhoCorasick;
use http::StatusCode;
use http1::Known;

use crate::config::{AgentPattern, Bots as Configured, EmptyAgent};
use crate::exchange::Exchange;
use crate::policies::{Policy, Step};
use crate::refusal::{Refusal, Stage};

/// The compiled policy.
#[derive(Debug)]
pub struct Bots {
    deny: Agents,
    allow: Agents,
    denies_empty: bool,
    summary: Box<str>,
}

/// Programs by parts of what they say.
#[derive(Debug)]
struct Agents {
    all: bool,
    /// Nothing where there are none, or too many for the memory of an automaton.
    parts: Option<AhoCorasick>,
}

impl Bots {
    /// Compiles the configuration.
    pub fn new(config: &Configured) -> Self {
        Self {
            deny: Agents::new(&config.deny),
            allow: Agents::new(&config.allow),
            denies_empty: config.empty == EmptyAgent::Deny,
            summary: config.to_string().into(),
        }
    }

    fn admits(&self, agent: &[u8]) -> bool {
        let is_denied = if agent.is_empty() { self.denies_empty } else { self.deny.contain(agent) };
        !is_denied || (!agent.is_empty() && self.allow.contain(agent))
    }
}

impl Policy for Bots {
    fn name(&self) -> &'static str {
        "bots"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn on_request(&self, exchange: &mut Exchange) -> Step<'_> {
        if self.admits(exchange.request.fields.get(Known::UserAgent).unwrap_or_default()) {
            return Step::Continue;
        }
        let detail = "programs of this kind may not call";
        Step::refuse(Refusal::new(StatusCode::FORBIDDEN, "bot_not_allowed", Stage::Admit, detail))
    }

    fn explain(&self) -> String {
        self.summary.to_string()
    }
}

impl Agents {
    fn new(patterns: &[AgentPattern]) -> Self {
        let mut parts: Vec<&str> = Vec::new();
        for pattern in patterns {
            match pattern {
                AgentPattern::All => {}
                AgentPattern::Known => parts.extend(SCANNERS),
                AgentPattern::Part(part) => parts.push(part),
            }
        }
        let automaton = || AhoCorasick::builder().ascii_case_insensitive(true).build(&parts).ok();
        Self {
            all: patterns.contains(&AgentPattern::All),
            parts: if parts.is_empty() { None } else { automaton() },
        }
    }

    fn contain(&self, agent: &[u8]) -> bool {
        self.all || self.parts.as_ref().is_some_and(|parts| parts.is_match(agent))
    }
}

/// Programs that look for holes and say so. Those who hide are not found by their name.
const SCANNERS: [&str; 28] = [
    "acunetix",
    "arachni",
    "commix",
    "dirbuster",
    "dirsearch",
    "feroxbuster",
    "fuzz faster u fool",
    "gobuster",
    "havij",
    "jaeles",
    "joomscan",
    "l9explore",
    "l9tcpid",
    "masscan",
    "nessus",
    "netsparker",
    "nikto",
    "nmap scripting engine",
    "nuclei",
    "openvas",
    "skipfish",
    "sqlmap",
    "w3af",
    "wfuzz",
    "whatweb",
    "wpscan",
    "zgrab",
    "zmeu",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> AgentPattern {
        AgentPattern::Part(text.to_owned())
    }

    #[test]
    fn programs_are_told_by_parts_of_what_they_say() {
        let bots = Bots::new(&Configured {
            deny: vec![AgentPattern::Known, part("bot"), part("curl/")],
            allow: vec![part("Googlebot")],
            empty: EmptyAgent::Deny,
        });
        for (agent, admitted) in [
            ("Mozilla/5.0 (X11; Linux x86_64)", true),
            ("sqlmap/1.8#stable (https://sqlmap.org)", false),
            ("Mozilla/5.00 (Nikto/2.5.0)", false),
            ("CURL/8.5.0", false),
            ("libcurl", true),
            ("SomeBot/1.0", false),
            ("Mozilla/5.0 (compatible; googlebot/2.1)", true),
            ("", false),
        ] {
            assert_eq!(bots.admits(agent.as_bytes()), admitted, "{agent}");
        }
    }

    #[test]
    fn all_may_be_denied_but_some() {
        let bots = Bots::new(&Configured {
            deny: vec![AgentPattern::All],
            allow: vec![part("Shop/")],
            empty: EmptyAgent::Allow,
        });
        for (agent, admitted) in [("shop/1.2", true), ("Mozilla/5.0", false), ("\u{e9}", false), ("", true)] {
            assert_eq!(bots.admits(agent.as_bytes()), admitted, "{agent}");
        }
    }
}

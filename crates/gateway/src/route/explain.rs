//! Which route wins and why the others lose, in words, for `tollgate explain`. Never on the request path.

use std::cmp::Ordering;

use super::methods::{self, AllowList};
use super::pattern::Segment;
use super::router::{Route, Wanted};
use super::{Found, Params, PathPattern, RequestView, Router};

/// A route that a request might have belonged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its position in the list that the router was built from.
    pub route: usize,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The request belongs to it.
    Wins,
    /// It does not, for this reason.
    Loses(String),
}

/// Candidates that an explanation holds.
pub const MAX_CANDIDATES: usize = 32;

impl Router {
    /// The routes for the request's host and path in the order in which they are tried, at most
    /// [`MAX_CANDIDATES`] and the winner. When nothing wins, routes follow that only the host or a slash at
    /// the path's end keeps away.
    pub fn explain(&self, view: &RequestView<'_>) -> Vec<Candidate> {
        let mut params = Params::new();
        let winner = match self.find(view, &mut params) {
            Found::Route(route) => Some(route),
            _ => None,
        };
        let mut candidates = Vec::new();
        let path = view.head.path.as_str();
        let mut here = Vec::new();
        self.roots(view.head.host(), |root| {
            here.push(root);
            self.visit_all(root, path, &mut params, &mut |at, params| {
                let verdict = if winner == Some(at) {
                    Verdict::Wins
                } else {
                    Verdict::Loses(self.why_not(at, winner, view, params))
                };
                if candidates.len() < MAX_CANDIDATES || winner == Some(at) {
                    candidates.push(Candidate { route: at, verdict });
                }
            });
            None::<()>
        });
        if winner.is_none() {
            self.add_near_misses(view, &here, &mut candidates);
        }
        candidates
    }

    fn visit_all(
        &self,
        root: u32,
        path: &str,
        params: &mut Params,
        each: &mut impl FnMut(usize, &mut Params),
    ) {
        params.clear();
        self.tree.search(root, path, params, &mut |leaf, params| {
            for at in leaf {
                each(*at as usize, params);
            }
            None::<()>
        });
    }

    fn add_near_misses(&self, view: &RequestView<'_>, here: &[u32], candidates: &mut Vec<Candidate>) {
        let path = view.head.path.as_str();
        let other_path = match path.strip_suffix('/') {
            Some(shorter) => shorter.to_owned(),
            None => format!("{path}/"),
        };
        let mut params = Params::new();
        let mut add = |route: usize, reason: String| {
            if candidates.len() < MAX_CANDIDATES {
                candidates.push(Candidate { route, verdict: Verdict::Loses(reason) });
            }
        };
        for root in here {
            // A route that takes both forms is a candidate already.
            let mut already = Vec::new();
            self.visit_all(*root, path, &mut params, &mut |at, _| already.push(at));
            self.visit_all(*root, &other_path, &mut params, &mut |at, _| {
                if !already.contains(&at) {
                    let form = if path.ends_with('/') { "without" } else { "with" };
                    add(at, format!("its path matches only {form} a `/` at the end"));
                }
            });
        }
        let host = view.head.host();
        for root in self.all_roots().filter(|root| !here.contains(root)) {
            self.visit_all(root, path, &mut params, &mut |at, _| {
                add(at, format!("it is for the host `{}`, not `{host}`", self.routes[at].host));
            });
        }
    }

    fn why_not(
        &self,
        at: usize,
        winner: Option<usize>,
        view: &RequestView<'_>,
        params: &mut Params,
    ) -> String {
        let route = &self.routes[at];
        let wanted = Wanted::new(self.methods.bit(view.method));
        if !wanted.is_taken_by(route) {
            if route.methods == 0 {
                return "it takes every method but CONNECT".to_owned();
            }
            let allow = AllowList { methods: &self.methods, bits: route.methods };
            return format!("it takes {allow}, not {}", view.method);
        }
        if let Some(Err(unmet)) =
            route.conditions.as_ref().map(|conditions| conditions.check(view, &route.path, params))
        {
            return unmet.to_string();
        }
        match winner {
            Some(winner) => less_specific(&self.routes[winner], winner, route, at, wanted),
            // `find` would have taken it.
            None => "it matches".to_owned(),
        }
    }
}

/// The first rule by which `winner` goes before `loser`.
fn less_specific(winner: &Route, winner_at: usize, loser: &Route, loser_at: usize, wanted: Wanted) -> String {
    if winner.host.compare(&loser.host) != Ordering::Equal {
        return format!("the winner's host `{}` is more specific than `{}`", winner.host, loser.host);
    }
    if winner.path.compare(&loser.path) != Ordering::Equal {
        return path_rule(&winner.path, &loser.path);
    }
    let (ours, theirs) = (winner.weight, loser.weight);
    if ours.conditions != theirs.conditions {
        return format!("the winner has more conditions ({} against {})", ours.conditions, theirs.conditions);
    }
    if ours.names_methods != theirs.names_methods {
        return "the winner names its methods, this one takes any".to_owned();
    }
    if ours.exactness != theirs.exactness {
        return "the winner's conditions ask for more exact values".to_owned();
    }
    let names = |route: &Route| route.methods & wanted.own != 0;
    if wanted.own == methods::HEAD && names(winner) && !names(loser) {
        return "the winner names HEAD, this one takes it with GET".to_owned();
    }
    if winner.methods.count_ones() != loser.methods.count_ones() {
        return "the winner takes fewer methods".to_owned();
    }
    debug_assert!(winner_at < loser_at);
    "it is as specific as the winner, which stands before it".to_owned()
}

fn path_rule(winner: &PathPattern, loser: &PathPattern) -> String {
    let pairs = winner.segments().len().max(loser.segments().len());
    let differing = (0..pairs).find(|at| describe(winner, *at) != describe(loser, *at)).unwrap_or(0);
    format!(
        "at segment {} of the path the winner has {}, which is more specific than {}",
        differing + 1,
        describe(winner, differing),
        describe(loser, differing),
    )
}

fn describe(pattern: &PathPattern, at: usize) -> String {
    match pattern.segments().get(at) {
        None => "its end".to_owned(),
        Some(Segment::Literal(text)) => format!("the text `{}`", pattern.part(*text)),
        Some(Segment::Rest { .. }) => "the rest `{...}`".to_owned(),
        Some(Segment::Param { prefix, suffix, regex, .. }) => {
            let (prefix, suffix) = (pattern.part(*prefix), pattern.part(*suffix));
            match regex {
                Some(regex) => format!("the parameter `{prefix}{{:{}}}{suffix}`", regex.as_str()),
                None => format!("the parameter `{prefix}{{}}{suffix}`"),
            }
        }
    }
}

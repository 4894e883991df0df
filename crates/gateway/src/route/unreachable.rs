//! Routes that no request can ever belong to. For `tollgate check`; near linear in the number of routes.

use std::collections::HashMap;

use super::Router;
use super::methods::MethodBits;

/// A route that can never match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// The route, by its position in the list that the router was built from.
    pub loser: usize,
    /// The route that gets its requests; when several share them, the first.
    pub winner: usize,
    /// Why, in words that fit after the two names.
    pub reason: String,
}

/// What the routes seen so far with one set of conditions take.
#[derive(Default)]
struct Taken {
    /// The route that takes any method.
    any: Option<usize>,
    methods: MethodBits,
    by: Vec<(MethodBits, usize)>,
}

impl Router {
    /// The routes that can never match, in the order of the list.
    ///
    /// Only routes with the very same host, path and conditions can take everything from each other: any
    /// difference makes the more specific one go first, and leaves some request to the other. So only routes
    /// of one leaf whose conditions are equal are compared, by the methods they take. What is reported is
    /// certain; conditions that imply each other in other ways are not looked for.
    pub fn unreachable(&self) -> Vec<Unreachable> {
        let mut found = Vec::new();
        for leaf in self.tree.leaves().filter(|leaf| leaf.len() > 1) {
            let mut taken: HashMap<String, Taken> = HashMap::new();
            for at in leaf {
                let at = *at as usize;
                let route = &self.routes[at];
                let earlier = taken.entry(self.same_requests(at)).or_default();
                if route.methods == 0 {
                    match earlier.any {
                        Some(winner) => found.push(Unreachable::equal(at, winner)),
                        None => earlier.any = Some(at),
                    }
                    continue;
                }
                if route.methods & !earlier.methods == 0 {
                    let winner = earlier.by.iter().find(|(bits, _)| bits & route.methods != 0);
                    found.extend(winner.map(|(bits, winner)| Unreachable {
                        loser: at,
                        winner: *winner,
                        reason: if bits & route.methods == route.methods {
                            EQUAL.to_owned()
                        } else {
                            "together with others it takes the same requests, and they go first".to_owned()
                        },
                    }));
                    continue;
                }
                earlier.methods |= route.methods;
                earlier.by.push((route.methods, at));
            }
        }
        found.sort_unstable_by_key(|found| found.loser);
        found
    }

    /// A text that is equal for routes of one leaf that differ at most in their methods.
    fn same_requests(&self, at: usize) -> String {
        let route = &self.routes[at];
        let Some(conditions) = &route.conditions else { return String::new() };
        // An expression speaks of parameters by the names that the template gives them.
        let names = if conditions.has_expression() { route.path.as_str() } else { "" };
        format!("{names} {}", conditions.fingerprint())
    }
}

impl Unreachable {
    fn equal(loser: usize, winner: usize) -> Self {
        Self { loser, winner, reason: EQUAL.to_owned() }
    }
}

const EQUAL: &str = "it takes the same requests and stands before it";

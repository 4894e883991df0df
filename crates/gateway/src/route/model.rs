//! The router against a model so simple that it is right: sort all routes as the documentation says, and scan.
#![allow(clippy::unwrap_used)]

use std::cmp::{Ordering, Reverse};

use proptest::prelude::*;

use super::tests::{CLIENT, find, head, route, router};
use super::*;

/// The model: all routes sorted by what the documentation says, and the first that matches.
struct Model {
    order: Vec<usize>,
    routes: Vec<RouteMatch>,
}

impl Model {
    fn new(routes: Vec<RouteMatch>) -> Self {
        let mut order: Vec<usize> = (0..routes.len()).collect();
        order.sort_by(|left, right| Self::compare(&routes[*left], &routes[*right]).then(left.cmp(right)));
        Self { order, routes }
    }

    fn compare(left: &RouteMatch, right: &RouteMatch) -> Ordering {
        let weight = |route: &RouteMatch| {
            let exactness: u32 = route.query.iter().map(|(_, value)| value.exactness()).sum();
            let conditions = route.query.len() + usize::from(!route.methods.is_empty());
            Reverse((conditions, !route.methods.is_empty(), exactness))
        };
        (left.host.compare(&right.host))
            .then(left.path.compare(&right.path))
            .then(weight(left).cmp(&weight(right)))
            .then(left.methods.len().cmp(&right.methods.len()))
    }

    fn find(&self, head: &RequestHead) -> Option<usize> {
        let matching: Vec<usize> =
            self.order.iter().copied().filter(|at| Self::matches(&self.routes[*at], head)).collect();
        let first = *matching.first()?;
        if head.method != Method::HEAD || self.routes[first].methods.is_empty() {
            return Some(first);
        }
        // Among those that only the number of methods or their place tells apart, one that names HEAD.
        let mut fewest = matching.iter().copied().filter(|at| {
            let [one, other] = [first, *at].map(|at| {
                let mut route = route("- - /");
                route.host = self.routes[at].host.clone();
                route.path = self.routes[at].path.clone();
                route.query.clone_from(&self.routes[at].query);
                route.methods = self.routes[at].methods.first().cloned().into_iter().collect();
                route
            });
            Self::compare(&one, &other) == Ordering::Equal
        });
        Some(fewest.find(|at| self.routes[*at].methods.contains(&Method::HEAD)).unwrap_or(first))
    }

    fn matches(route: &RouteMatch, head: &RequestHead) -> bool {
        let takes = route.methods.is_empty()
            || route.methods.contains(&head.method)
            || (head.method == Method::HEAD && route.methods.contains(&Method::GET));
        let query = head.query().unwrap_or_default();
        takes
            && route.host.matches(head.host())
            && Self::path_matches(route.path.as_str(), &head.path)
            && route.query.iter().all(|(name, value)| {
                query_pairs(query).any(|(written, text)| written == &**name && value.accepts(text))
            })
    }

    /// The template as one regular expression.
    fn path_matches(template: &str, path: &str) -> bool {
        let mut expression = String::from("^");
        for segment in template[1..].split('/') {
            let piece = match segment.split_once('{') {
                None => format!("/{}", regex::escape(segment)),
                Some((_, rest)) if rest.ends_with("...}") => "(/.*)?".to_owned(),
                Some((prefix, rest)) => {
                    let (inner, suffix) = rest.rsplit_once('}').unwrap();
                    let inner = inner.split_once(':').map_or("[^/]+", |(_, regex)| regex);
                    format!("/{}(?:{inner}){}", regex::escape(prefix), regex::escape(suffix))
                }
            };
            expression.push_str(&piece);
        }
        regex::RegexBuilder::new(&(expression + "$")).build().unwrap().is_match(path)
    }
}

/// Few names and many shapes, so that routes meet.
fn any_route() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => "[ab]{1,2}",
        2 => Just("{}".to_owned()),
        1 => Just("{:a+}".to_owned()),
        1 => Just("{:[ab]}".to_owned()),
        1 => Just("a{}".to_owned()),
        1 => Just("{}b".to_owned()),
        1 => Just("{:b+}b".to_owned()),
    ];
    let path = (prop::collection::vec(segment, 0..4), prop_oneof![Just(""), Just("/"), Just("/{rest...}")]);
    let path = path.prop_map(|(segments, end)| {
        let mut path = String::new();
        for (at, segment) in segments.iter().enumerate() {
            path.push('/');
            path.push_str(&segment.replace('{', &format!("{{p{at}")));
        }
        path.push_str(end);
        if path.is_empty() { "/".to_owned() } else { path }
    });
    let methods =
        prop_oneof![Just("-"), Just("GET"), Just("POST"), Just("HEAD"), Just("GET,POST"), Just("GET,HEAD")];
    let host =
        prop_oneof![4 => Just("-"), 1 => Just("a.b"), 1 => Just("*.b"), 1 => Just("*.a.b"), 1 => Just("b")];
    (methods, host, path).prop_map(|(methods, host, path)| format!("{methods} {host} {path}"))
}

fn any_routes() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    let query =
        prop::option::of(prop_oneof![Just("*".to_owned()), Just("1*".to_owned()), Just("1".to_owned())]);
    prop::collection::vec((any_route(), query), 1..25)
}

fn build(routes: &[(String, Option<String>)]) -> Vec<RouteMatch> {
    routes
        .iter()
        .map(|(text, query)| {
            let mut route = route(text);
            route.query.extend(query.iter().map(|value| ("q".into(), ValueMatch::parse(value).unwrap())));
            route
        })
        .collect()
}

fn any_head() -> impl Strategy<Value = RequestHead> {
    let path =
        prop::collection::vec("[ab]{1,3}", 0..5).prop_map(|segments| format!("/{}", segments.join("/")));
    let slash = prop_oneof![3 => Just(""), 1 => Just("/")];
    let query = prop_oneof![Just(""), Just("?q=1"), Just("?q=12"), Just("?q=2")];
    let method = prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("PUT")];
    let host = prop_oneof![Just("a.b"), Just("b"), Just("c.a.b"), Just("x")];
    (method, host, path, slash, query).prop_map(|(method, host, path, slash, query)| {
        let slash = if path == "/" { "" } else { slash };
        head(method, host, &format!("{path}{slash}{query}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_tree_finds_what_the_model_finds(routes in any_routes(), heads in prop::collection::vec(any_head(), 8)) {
        let router = Router::build(build(&routes)).unwrap();
        let model = Model::new(build(&routes));
        let dead: Vec<_> = router.unreachable().into_iter().map(|found| found.loser).collect();
        for head in &heads {
            let mut params = Params::new();
            let found = match router.find(&RequestView::new(head, CLIENT), &mut params) {
                Found::Route(route) => Some(route),
                _ => None,
            };
            prop_assert_eq!(found, model.find(head), "{:?} {:?}", routes, head);
            prop_assert!(found.is_none_or(|route| !dead.contains(&route)), "{:?} {:?}", routes, head);
            let told = router.explain(&RequestView::new(head, CLIENT));
            let winner = told.iter().find(|candidate| candidate.verdict == Verdict::Wins);
            prop_assert_eq!(winner.map(|candidate| candidate.route), found);
            if let Some(route) = found {
                for (_, value) in params.bind(router.params_of(route), &head.path).iter() {
                    prop_assert!(head.path.contains(value));
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_file_changes_nothing_for_routes_that_differ(
        routes in any_routes(),
        heads in prop::collection::vec(any_head(), 4),
    ) {
        let mut routes = routes;
        let all = build(&routes);
        let mut at = 0..all.len();
        routes.retain(|_| {
            let at = at.next().unwrap();
            all[..at].iter().all(|earlier| Model::compare(&all[at], earlier) != Ordering::Equal)
        });
        let mut reversed = routes.clone();
        reversed.reverse();
        let routers = [Router::build(build(&routes)).unwrap(), Router::build(build(&reversed)).unwrap()];
        for head in &heads {
            let [one, other] = [0, 1].map(|at| match routers[at].find(&RequestView::new(head, CLIENT), &mut Params::new()) {
                Found::Route(route) if at == 0 => Some(route),
                Found::Route(route) => Some(routes.len() - 1 - route),
                _ => None,
            });
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn a_path_of_any_bytes_is_searched_without_a_panic(path in r"(/|[a-z%.]|\PC){0,40}", method in "[A-Z]{1,5}") {
        let router = router(&["- - /{a}/{rest...}", "GET - /{a}b/c{d}", "GET - /{a:\\w+}", "GET - /"]);
        find(&router, &head(&method, "x", &path));
    }
}

//! What changes for users between two configurations: in the order of the file's sections, in plain sentences.
//! Routes are known by their name, or else by what they match; where they stand in the file has no meaning.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Display, Write as _};
use std::hash::Hash;

use super::model::Config;
use super::outline::{Facets, Outline, RouteOutline, Things};

/// One change, or one that is the same for several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether the things come, go or change.
    pub kind: ChangeKind,
    /// What they are: `route`, `service`, `listener` …
    pub what: &'static str,
    /// Their names.
    pub names: Vec<String>,
    /// What is to be said about them, or what becomes different, each a short sentence.
    pub details: Vec<String>,
}

/// What happens to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is gone.
    Removed,
    /// It is there, and different.
    Altered,
}

impl Display for Change {
    /// `route GET /users altered: total timeout becomes 5s (was 60s)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Altered => "altered",
        };
        let shown = self.names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.names.len() == 1 {
            write!(f, "{} {shown} {verb}", self.what)?;
        } else {
            write!(f, "{} {}s {verb} ({shown}", self.names.len(), self.what)?;
            match self.names.len().saturating_sub(MAX_NAMES) {
                0 => f.write_char(')')?,
                more => write!(f, " and {more} more)")?,
            }
        }
        if self.details.is_empty() { Ok(()) } else { write!(f, ": {}", self.details.join("; ")) }
    }
}

/// What changes for users when `new` takes the place of `old`.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    Outline::new(old).changes_to(&Outline::new(new))
}

impl Outline {
    /// What changes for users when `new` takes the place of this.
    pub fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        compare("listener", &self.listeners, &new.listeners, &mut changes);
        compare("setting", &self.settings, &new.settings, &mut changes);
        let mut other = |name: &str, what: &str| {
            let details = vec![what.to_owned()];
            let names = vec![name.to_owned()];
            changes.push(Change { kind: ChangeKind::Altered, what: "setting", names, details });
        };
        if let (Some(was), Some(becomes)) = (&self.token, &new.token)
            && was != becomes
        {
            other("admin", "token becomes another");
        }
        if self.signing.len() == new.signing.len() && self.signing != new.signing {
            other("identity", "keys become others");
        }
        compare("service", &self.services, &new.services, &mut changes);
        compare("way to find out who calls", &self.auth, &new.auth, &mut changes);
        compare("plan", &self.plans, &new.plans, &mut changes);
        compare("app", &self.apps, &new.apps, &mut changes);
        for ((app, id), was) in &self.keys {
            let other = new.keys.get(&(app.clone(), id.clone()));
            if other.is_some_and(|becomes| becomes != was) {
                let details = vec![format!("secret of key {id} becomes another")];
                changes.push(Change {
                    kind: ChangeKind::Altered,
                    what: "app",
                    names: vec![app.clone()],
                    details,
                });
            }
        }
        compare("device", &self.devices, &new.devices, &mut changes);
        compare("API", &self.apis, &new.apis, &mut changes);
        compare_routes(self, new, &mut changes);
        changes
    }
}

fn compare(what: &'static str, old: &Things, new: &Things, changes: &mut Vec<Change>) {
    let mut push = |kind, name: &str, details| {
        changes.push(Change { kind, what, names: vec![name.to_owned()], details });
    };
    for (name, before) in old {
        match new.get(name) {
            None => push(ChangeKind::Removed, name, Vec::new()),
            Some(after) if before != after => push(ChangeKind::Altered, name, differences(before, after)),
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        push(ChangeKind::Added, name, Vec::new());
    }
}

/// The sentences about what is different.
fn differences(before: &Facets, after: &Facets) -> Vec<String> {
    let mut sentences = Vec::new();
    for (facet, was) in before.iter() {
        match after.get(facet) {
            None => sentences.push(format!("{facet} removed (was {was})")),
            Some(becomes) if becomes != was => {
                sentences.push(format!("{facet} becomes {becomes} (was {was})"));
            }
            Some(_) => {}
        }
    }
    for (facet, becomes) in after.iter().filter(|(facet, _)| before.get(facet).is_none()) {
        sentences.push(format!("{facet} added: {becomes}"));
    }
    sentences
}

fn compare_routes(old: &Outline, new: &Outline, changes: &mut Vec<Change>) {
    let mut gone: Vec<&RouteOutline> = old.routes.iter().collect();
    let mut come: Vec<Placed<'_>> = new.routes.iter().enumerate().collect();
    // First those that have a name in common, then, of the rest, those that match the same requests.
    let mut pairs = Vec::new();
    pair((old, &mut gone), (new, &mut come), &mut pairs, name_key);
    pair((old, &mut gone), (new, &mut come), &mut pairs, |outline, route| Some(match_key(outline, route)));
    let one = |kind, label, details| Change { kind, what: "route", names: vec![label], details };
    changes.extend(gone.into_iter().map(|route| one(ChangeKind::Removed, old.label(route), Vec::new())));
    changes.extend(come.into_iter().map(|(_, route)| {
        let facets = &new.terms_of(route).facets;
        let said = ["target", "answer", "access"].into_iter();
        let details = said.filter_map(|facet| Some(format!("{facet} {}", facets.get(facet)?))).collect();
        one(ChangeKind::Added, new.label(route), details)
    }));
    // Most routes stay as they are, with terms that were compared before for another.
    let mut same: HashMap<(u32, u32), bool> = HashMap::new();
    pairs.retain(|(before, (_, after))| {
        let terms = (before.terms, after.terms);
        let has_same_terms =
            *same.entry(terms).or_insert_with(|| old.terms_of(before).facets == new.terms_of(after).facets);
        !has_same_terms || before.own() != after.own()
    });
    pairs.sort_by_key(|(_, (place, _))| *place);
    // A change of `defaults` or of a service is the same for many routes: it is told once.
    let mut told: HashMap<Vec<String>, usize> = HashMap::new();
    for (before, (_, after)) in pairs {
        let (mut was, mut becomes) = (old.facets(before), new.facets(after));
        if was.get("target").is_some() != becomes.get("target").is_some() {
            // How a service is waited for says nothing beside an answer of the gateway's own.
            for facets in [&mut was, &mut becomes] {
                facets.retain(|facet| !facet.starts_with("retr") && !facet.ends_with("timeout"));
            }
        }
        let mut details = differences(&was, &becomes);
        if before.name != after.name && before.counts && after.counts {
            details.push("its limits and quotas begin anew".to_owned());
        }
        if details.is_empty() {
            continue;
        }
        if let Some(&index) = told.get(&details) {
            changes[index].names.push(new.label(after));
        } else {
            told.insert(details.clone(), changes.len());
            changes.push(one(ChangeKind::Altered, new.label(after), details));
        }
    }
}

/// A route and its place among those of its configuration.
type Placed<'o> = (usize, &'o RouteOutline);

/// Takes out of both lists the routes that have a key in common, in their order.
fn pair<'o, K: Eq + Hash>(
    (old, gone): (&'o Outline, &mut Vec<&'o RouteOutline>),
    (new, come): (&'o Outline, &mut Vec<Placed<'o>>),
    pairs: &mut Vec<(&'o RouteOutline, Placed<'o>)>,
    key: impl Fn(&'o Outline, &'o RouteOutline) -> Option<K>,
) {
    // Most routes stay where they are: those that meet at the front of both lists need no table.
    let meet = |(one, other): &(&&'o RouteOutline, &Placed<'o>)| {
        key(old, one).is_some_and(|known| key(new, other.1).is_some_and(|other| known == other))
    };
    let front = gone.iter().zip(come.iter()).take_while(meet).count();
    pairs.extend(gone.drain(..front).zip(come.drain(..front)));
    let mut by_key: HashMap<K, VecDeque<Placed<'o>>> = HashMap::new();
    let mut rest = Vec::new();
    for route in come.drain(..) {
        match key(new, route.1) {
            Some(key) => by_key.entry(key).or_default().push_back(route),
            None => rest.push(route),
        }
    }
    gone.retain(|route| {
        let counterpart = key(old, route).and_then(|key| by_key.get_mut(&key)?.pop_front());
        pairs.extend(counterpart.map(|counterpart| (*route, counterpart)));
        counterpart.is_none()
    });
    come.extend(by_key.into_values().flatten().chain(rest));
    come.sort_by_key(|(place, _)| *place);
}

/// A named route stays the same one whatever it matches.
fn name_key<'o>(outline: &'o Outline, route: &'o RouteOutline) -> Option<(&'o str, &'o str)> {
    Some((route.name.as_deref()?, &outline.terms_of(route).version))
}

/// What a route matches, all conditions taken together.
fn match_key<'o>(outline: &'o Outline, route: &'o RouteOutline) -> [&'o str; 4] {
    let terms = outline.terms_of(route);
    [&route.path, route.host.as_deref().unwrap_or_default(), &terms.conditions, &terms.version]
}

/// Names shown of a change that is the same for many things.
const MAX_NAMES: usize = 3;

//! A double of Consul's HTTP API, as its documentation has it: `/v1/health/service/:service` with `passing`, `tag`, `dc`, and
//! blocking queries by `index` and `wait`. It stands in because no package registry has Consul's server.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backend::{Backend, Call, backend};

/// An instance of a service.
#[derive(Clone)]
pub struct Instance {
    /// The service's name.
    pub service: &'static str,
    /// The address of the instance's node.
    pub node: &'static str,
    /// Its own address; empty where it is the node's.
    pub address: &'static str,
    /// Its port.
    pub port: u16,
    /// Its tags.
    pub tags: &'static [&'static str],
    /// Whether its checks pass.
    pub passing: bool,
}

/// A double of a Consul agent.
pub struct ConsulDouble {
    backend: Backend,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    index: u64,
    instances: Vec<Instance>,
    /// Answered instead of anything else.
    fault: Option<(u16, &'static str)>,
    /// What a client must show.
    token: Option<&'static str>,
    waiting: usize,
    gone: bool,
}

/// A double of a Consul agent that knows of nothing.
pub fn consul_double() -> ConsulDouble {
    let shared = Arc::new(Shared::default());
    shared.state.lock().unwrap().index = 10;
    let answering = Arc::clone(&shared);
    ConsulDouble { backend: backend(move |call| answering.answer(call)), shared }
}

impl ConsulDouble {
    /// These are the instances from now on.
    pub fn set(&self, instances: &[Instance]) {
        self.change(|state| {
            state.index += 1;
            state.instances = instances.to_vec();
        });
    }

    /// Something elsewhere changes: the index moves, and the answer stays as it was.
    pub fn touch(&self) {
        self.change(|state| state.index += 1);
    }

    /// It is restored from a copy: the index goes back.
    pub fn restore(&self, instances: &[Instance]) {
        self.change(|state| {
            state.index = 2;
            state.instances = instances.to_vec();
        });
    }

    /// Answers this to everything, or as it should again.
    pub fn fail(&self, fault: Option<(u16, &'static str)>) {
        self.change(|state| state.fault = fault);
    }

    /// Wants this token from now on.
    pub fn demand_token(&self, token: &'static str) {
        self.change(|state| state.token = Some(token));
    }

    /// Queries that wait for a change.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().unwrap().waiting
    }

    /// The targets of all that was asked.
    pub fn targets(&self) -> Vec<String> {
        self.backend.requests().into_iter().map(|seen| seen.target).collect()
    }

    /// Every connection is cut.
    pub fn hang_up(&self) {
        self.backend.hang_up();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.notify_all();
    }
}

impl Drop for ConsulDouble {
    fn drop(&mut self) {
        self.change(|state| state.gone = true);
    }
}

impl fmt::Display for ConsulDouble {
    /// Its URL, as the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(f)
    }
}

impl Shared {
    fn answer(&self, call: &mut Call) {
        let (path, query) = call.target().split_once('?').unwrap_or((call.target(), ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let parameters = || query.split('&').filter_map(|pair| pair.split_once('='));
        let find = |name| parameters().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        let index: u64 = find("index").map_or(0, |index| index.parse().unwrap());
        let wait = find("wait").map_or(300, |wait| wait.strip_suffix('s').unwrap().parse().unwrap());
        let until = Instant::now() + Duration::from_secs(wait);
        let mut state = self.state.lock().unwrap();
        // It waits while nothing has happened since; an index that is from before a restore does not wait.
        while index > 0 && index == state.index && state.fault.is_none() && !state.gone {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            state.waiting += 1;
            state = self.changed.wait_timeout(state, left).unwrap().0;
            state.waiting -= 1;
        }
        if let Some((status, words)) = state.fault {
            return call.reply(status, words);
        }
        if state.token.is_some_and(|token| call.seen.header("X-Consul-Token") != Some(token)) {
            return call.reply(403, "ACL not found");
        }
        let Some(service) = path.strip_prefix("/v1/health/service/") else {
            return call.reply(404, "Invalid URL path: not a recognized HTTP API endpoint");
        };
        let tags: Vec<String> =
            parameters().filter(|(key, _)| *key == "tag").map(|(_, tag)| tag.to_owned()).collect();
        let instances: Vec<Value> = state
            .instances
            .iter()
            .filter(|one| one.service == service)
            .filter(|one| one.passing || find("passing").is_none())
            .filter(|one| tags.iter().all(|tag| one.tags.contains(&tag.as_str())))
            .map(told)
            .collect();
        let lines = format!("X-Consul-Index: {}\r\nContent-Type: application/json\r\n", state.index);
        drop(state);
        call.reply_with(200, &lines, Value::from(instances).to_string());
    }
}

fn told(one: &Instance) -> Value {
    let status = if one.passing { "passing" } else { "critical" };
    json!({
        "Node": { "Node": "n", "Address": one.node, "Datacenter": "dc1" },
        "Service": {
            "ID": format!("{}-{}", one.service, one.port), "Service": one.service, "Tags": one.tags,
            "Address": one.address, "Port": one.port, "Weights": { "Passing": 1, "Warning": 1 },
        },
        "Checks": [{ "Name": "Serf Health Status", "Status": status }],
    })
}

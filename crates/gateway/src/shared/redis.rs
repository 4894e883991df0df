//! A Redis that the fleet shares: one server, the master that sentinels name, or a cluster. Workers ask it by name of what they want to know,
//! and need not know which it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};

use super::dial::{Counts, Setup, unusable};
use super::fleet::Fleet;
use super::link::{Link, Place};
use super::nodes::Nodes;
use super::script::Script;
use super::slot::{Slot, slot_of};
use crate::clock;
use crate::config::Cluster;
use crate::config::values::RedisServers;
use crate::tls::ClientTls;

/// A handle on a Redis.
#[derive(Debug)]
pub struct Redis {
    setup: Arc<Setup>,
    servers: Servers,
    is_driven: AtomicBool,
}

#[derive(Debug)]
enum Servers {
    One(Arc<Link>),
    Cluster(Arc<Nodes>),
}

/// How a Redis stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RedisReading {
    /// Whether there is a connection, and it is good as far as is known; of a cluster, to all its servers.
    pub is_up: bool,
    /// Commands that were sent, or could not be.
    pub commands: u64,
    /// Those without an answer.
    pub failures: u64,
    /// Those of them whose answer was waited for until the time was over.
    pub timeouts: u64,
    /// What requests have cost at limits, of which it was not told, as far as is known.
    pub lost_charges: u64,
    /// Gateways that count together, as far as was heard; none where they do not.
    pub gateways: Option<u64>,
    /// Seconds that answers took, in all.
    pub seconds: f64,
}

/// There was no answer, or none in time.
#[derive(Debug, Clone, Copy)]
pub struct Unanswered;

/// Why a script was not run, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRun {
    /// What it is about is not all at one server, as its slot is just moving.
    HalfMoved,
    Unanswered,
}

impl Redis {
    /// The Redis of this configuration: as it was before where it is the same.
    pub fn of(config: &Cluster, tls: Option<&Arc<ClientTls>>, before: Option<&Arc<Self>>) -> Arc<Self> {
        if let Some(before) = before
            && before.setup.is_like(config, tls)
        {
            return Arc::clone(before);
        }
        let setup = Arc::new(Setup {
            config: config.clone(),
            tls: tls.cloned(),
            fleet: Fleet::new(config, before.map(|before| &before.setup.fleet)),
            counts: before.map_or_else(Arc::default, |before| Arc::clone(&before.setup.counts)),
        });
        let one = |place| {
            let link = Link::new(&setup, place, &Arc::default());
            link.meet_at(Some(format!("{}gateways", config.prefix)));
            Servers::One(link)
        };
        let servers = match &config.redis.value.servers {
            RedisServers::One(server) => one(Place::Server(server.clone())),
            RedisServers::Sentinels(sentinels, name) => one(Place::Master(sentinels.clone(), name.clone())),
            RedisServers::Cluster(named) => Servers::Cluster(Nodes::new(&setup, named)),
        };
        Arc::new(Self { setup, servers, is_driven: AtomicBool::new(false) })
    }

    /// What makes the connections and keeps them, for the control plane to run until no configuration has this Redis any more; nothing when
    /// it was asked for before.
    pub fn driver(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if self.is_driven.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(match &self.servers {
            Servers::One(link) => {
                let (driven, followed) = (Arc::downgrade(link), Arc::downgrade(link));
                Box::pin(async {
                    tokio::join!(Link::drive(driven), Link::follow(followed));
                })
            }
            Servers::Cluster(nodes) => Box::pin(Nodes::drive(Arc::downgrade(nodes))),
        })
    }

    /// Waits until the first attempt to connect has ended.
    pub async fn tried(&self) {
        match &self.servers {
            Servers::One(link) => link.tried().await,
            Servers::Cluster(nodes) => nodes.tried().await,
        }
    }

    /// The TLS that it is connected to with.
    pub(crate) fn tls(&self) -> Option<&Arc<ClientTls>> {
        self.setup.tls.as_ref()
    }

    /// Takes a name for so many seconds; whether nobody had it.
    pub async fn take(&self, kind: &str, name: &[u8; 16], seconds: u64) -> Result<bool, Unanswered> {
        let mut command = cmd("SET");
        command.arg(self.name(kind, name)).arg(1).arg("NX").arg("EX").arg(seconds);
        match self.ask(self.slot(kind, name), &command, self.timeout()).await {
            Ok(Value::Okay) => Ok(true),
            Ok(Value::Nil) => Ok(false),
            Ok(_) => {
                self.setup.counts.failed(&unusable("this is no answer to that".to_owned()));
                Err(Unanswered)
            }
            Err(_) => Err(Unanswered),
        }
    }

    /// Runs a script on what has these names, which all have this slot.
    pub(super) async fn run(
        &self,
        script: &Script,
        slot: Slot,
        keys: &[String],
        numbers: &[u64],
    ) -> Result<Value, NotRun> {
        let (began, limit) = (clock::refresh(), self.timeout());
        match self.ask(slot, &script.known(keys, numbers), limit).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let left = limit.saturating_sub(clock::refresh().duration_since(began));
                if left.is_zero() {
                    return Err(NotRun::Unanswered);
                }
                self.ask(slot, &script.whole(keys, numbers), left).await
            }
            other => other,
        }
        .map_err(|error| match error.kind() {
            ErrorKind::Server(ServerErrorKind::TryAgain) => NotRun::HalfMoved,
            _ => NotRun::Unanswered,
        })
    }

    /// The name of something there. Those who look into their Redis see text.
    pub(super) fn name(&self, kind: &str, name: &[u8; 16]) -> String {
        format!("{}{kind}{}", self.setup.config.prefix, URL_SAFE_NO_PAD.encode(name))
    }

    /// The slot of that name; where there is but one server, all have the same.
    pub(super) fn slot(&self, kind: &str, name: &[u8; 16]) -> Slot {
        if let Servers::One(_) = self.servers {
            return 0;
        }
        let mut text = [0; 22];
        // It is as long as that.
        let _ = URL_SAFE_NO_PAD.encode_slice(name, &mut text);
        slot_of(&self.setup.config.prefix, &[kind.as_bytes(), &text])
    }

    /// Whether what has this slot is worth a question: nobody has waited in vain since it last answered.
    pub(super) fn is_in_use(&self, slot: Slot) -> bool {
        match &self.servers {
            Servers::One(link) => link.is_in_use(),
            Servers::Cluster(nodes) => nodes.is_in_use(slot),
        }
    }

    /// What a request has cost could not be told.
    pub(super) fn has_lost_charge(&self) {
        self.setup.counts.lost_charges.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections were made: behind a new one it may have forgotten what it knew.
    pub(super) fn connections(&self) -> u64 {
        self.setup.counts.connections.load(Ordering::Relaxed)
    }

    /// Whether all of it answers, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        match &self.servers {
            Servers::One(link) => link.is_in_use(),
            Servers::Cluster(nodes) => nodes.are_in_use(),
        }
    }

    /// How long an answer is waited for.
    pub(super) fn timeout(&self) -> Duration {
        *self.setup.config.timeout
    }

    /// The gateways that count together over it.
    pub(super) fn fleet(&self) -> &Fleet {
        &self.setup.fleet
    }

    async fn ask(&self, slot: Slot, command: &Cmd, limit: Duration) -> Result<Value, RedisError> {
        match &self.servers {
            Servers::One(link) => link.ask(command, false, limit).await,
            Servers::Cluster(nodes) => nodes.ask(slot, command, limit).await,
        }
    }

    /// How it stands.
    pub fn reading(&self) -> RedisReading {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { commands, failures, timeouts, lost_charges, micros, .. } = &*self.setup.counts;
        RedisReading {
            is_up: self.is_up(),
            commands: count(commands),
            failures: count(failures),
            timeouts: count(timeouts),
            lost_charges: count(lost_charges),
            gateways: self.setup.fleet.reading(),
            seconds: count(micros) as f64 / 1e6,
        }
    }
}

impl Setup {
    /// Whether a configuration says the same, wherever it stands. Files of TLS are the same when what they hold is.
    fn is_like(&self, config: &Cluster, tls: Option<&Arc<ClientTls>>) -> bool {
        let parts = |cluster: &Cluster| {
            let Cluster {
                redis,
                user,
                password,
                sentinel_password,
                tls: _,
                timeout,
                prefix,
                secret,
                gateways,
            } = cluster.clone();
            (redis.value, user, password, sentinel_password, timeout, prefix, secret, gateways)
        };
        let is_same_tls = match (&self.tls, tls) {
            (Some(one), Some(other)) => one.is_like(other),
            (None, None) => true,
            _ => false,
        };
        is_same_tls && parts(&self.config) == parts(config)
    }
}

//! A Redis that the fleet shares. One connection for all workers: the control plane makes it, keeps it alive and makes it anew; workers
//! send commands over it and wait for the answers, many at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use tokio::sync::{Notify, watch};

use super::fleet::Fleet;
use super::script::Script;
use crate::clock;
use crate::config::Cluster;
use crate::config::values::Secret;
use crate::notice::notice;

/// A handle on a Redis.
#[derive(Debug)]
pub struct Redis {
    config: Cluster,
    connection: Arc<ArcSwapOption<MultiplexedConnection>>,
    /// That a command has failed, so that the connection is looked at.
    doubt: Arc<Notify>,
    /// Whether one has failed since the connection was last found to be good.
    is_in_doubt: AtomicBool,
    /// The gateways that count together over it.
    fleet: Fleet,
    /// Whether the first attempt to connect has ended, in whatever way.
    has_tried: watch::Sender<bool>,
    is_driven: AtomicBool,
    counts: Arc<Counts>,
}

/// What was counted since the process began.
#[derive(Debug, Default)]
struct Counts {
    commands: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    /// Microseconds that answers took, in all.
    micros: AtomicU64,
}

/// How a Redis stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RedisReading {
    /// Whether there is a connection, and it is good as far as is known.
    pub is_up: bool,
    /// Commands that were sent, or could not be.
    pub commands: u64,
    /// Those without an answer.
    pub failures: u64,
    /// Those of them whose answer was waited for until the time was over.
    pub timeouts: u64,
    /// Gateways that count together, as far as was heard; none where they do not.
    pub gateways: Option<u64>,
    /// Seconds that answers took, in all.
    pub seconds: f64,
}

/// There was no answer, or none in time.
#[derive(Debug, Clone, Copy)]
pub struct Unanswered;

/// How often a connection is tried that nobody doubts.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// The pause after the first failure to connect, and the longest: each is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The least time that a connection has to come about.
const TO_CONNECT: Duration = Duration::from_secs(1);
/// Commands on their way to the connection's task: whoever finds no room there waits until one has gone.
const ON_THEIR_WAY: usize = 1024;

impl Redis {
    /// The Redis of this configuration: as it was before where it is the same.
    pub fn of(config: &Cluster, before: Option<&Arc<Self>>) -> Arc<Self> {
        match before {
            Some(before) if is_same(&before.config, config) => Arc::clone(before),
            _ => Arc::new(Self {
                config: config.clone(),
                connection: Arc::default(),
                doubt: Arc::default(),
                is_in_doubt: AtomicBool::new(false),
                fleet: Fleet::new(config, before.map(|before| &before.fleet)),
                has_tried: watch::Sender::new(false),
                is_driven: AtomicBool::new(false),
                counts: before.map_or_else(Arc::default, |before| Arc::clone(&before.counts)),
            }),
        }
    }

    /// What makes the connection and keeps it, for the control plane to run; nothing when it was asked for before.
    pub fn driver(self: &Arc<Self>) -> Option<Driver> {
        let is_first = !self.is_driven.swap(true, Ordering::AcqRel);
        is_first.then(|| Driver { redis: Arc::downgrade(self), doubt: Arc::clone(&self.doubt) })
    }

    /// Waits until the first attempt to connect has ended.
    pub async fn tried(&self) {
        // The sender is `self`.
        let _ = self.has_tried.subscribe().wait_for(|has_tried| *has_tried).await;
    }

    /// Takes a name for so many seconds; whether nobody had it.
    pub async fn take(&self, kind: &str, name: &[u8], seconds: u64) -> Result<bool, Unanswered> {
        let mut command = cmd("SET");
        command.arg(self.name(kind, name)).arg(1).arg("NX").arg("EX").arg(seconds);
        match self.ask(&command).await? {
            Value::Okay => Ok(true),
            Value::Nil => Ok(false),
            _ => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                Err(Unanswered)
            }
        }
    }

    /// Runs a script on what has these names.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[String],
        numbers: &[u64],
    ) -> Result<Value, Unanswered> {
        match self.ask_for(&script.known(keys, numbers)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.ask(&script.whole(keys, numbers)).await
            }
            other => self.judge(other),
        }
    }

    /// The name of something there. Those who look into their Redis see text.
    pub(super) fn name(&self, kind: &str, name: &[u8]) -> String {
        format!("{}{kind}{}", self.config.prefix, URL_SAFE_NO_PAD.encode(name))
    }

    /// Whether it is worth a question: nobody has waited in vain since it last answered.
    pub fn is_in_use(&self) -> bool {
        !self.is_in_doubt.load(Ordering::Relaxed) && self.connection.load().is_some()
    }

    /// How long an answer is waited for.
    pub(super) fn timeout(&self) -> Duration {
        *self.config.timeout
    }

    /// The gateways that count together over it.
    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    async fn ask(&self, command: &redis::Cmd) -> Result<Value, Unanswered> {
        self.judge(self.ask_for(command).await)
    }

    async fn ask_for(&self, command: &redis::Cmd) -> Result<Value, RedisError> {
        self.counts.commands.fetch_add(1, Ordering::Relaxed);
        let began = clock::refresh();
        let answer = match self.connection.load_full() {
            Some(connection) => MultiplexedConnection::clone(&connection).send_packed_command(command).await,
            None => Err(RedisError::from((ErrorKind::Io, "there is no connection"))),
        };
        let took = clock::refresh().duration_since(began);
        self.counts.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        answer.and_then(Value::extract_error)
    }

    /// Whoever gets no answer has the connection looked at, and all who can do without it do so meanwhile.
    fn judge(&self, answer: Result<Value, RedisError>) -> Result<Value, Unanswered> {
        answer.map_err(|error| {
            self.counts.failures.fetch_add(1, Ordering::Relaxed);
            self.counts.timeouts.fetch_add(u64::from(error.is_timeout()), Ordering::Relaxed);
            self.is_in_doubt.store(true, Ordering::Relaxed);
            self.doubt.notify_one();
            Unanswered
        })
    }

    /// How it stands.
    pub fn reading(&self) -> RedisReading {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisReading {
            is_up: self.is_in_use(),
            commands: count(&self.counts.commands),
            failures: count(&self.counts.failures),
            timeouts: count(&self.counts.timeouts),
            gateways: self.fleet.reading(),
            seconds: count(&self.counts.micros) as f64 / 1e6,
        }
    }

    fn open(&self) -> Option<Client> {
        let Cluster { redis, user, password, .. } = &self.config;
        let password = password.as_ref().map(Secret::expose);
        Client::open(redis.value.connection(user.as_deref(), password)?).ok()
    }

    async fn connect(&self, client: &Client) -> Result<(), RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TO_CONNECT.max(*self.config.timeout)))
            .set_response_timeout(Some(*self.config.timeout))
            .set_pipeline_buffer_size(ON_THEIR_WAY);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // A kernel takes connections for a program that answers nothing.
        self.look(&mut connection).await?;
        self.connection.store(Some(Arc::new(connection)));
        Ok(())
    }

    /// Whether a connection is good. Where gateways count together it must take what is written: a full Redis, or one that only
    /// copies another, is of no use.
    async fn look(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let command = self.fleet.presence().unwrap_or_else(|| cmd("PING"));
        let answer = connection.send_packed_command(&command).await.and_then(Value::extract_error)?;
        if let Value::Int(gateways) = answer {
            self.fleet.heard(gateways.unsigned_abs());
        }
        self.is_in_doubt.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether two say the same, wherever it stands.
fn is_same(one: &Cluster, other: &Cluster) -> bool {
    let parts = |cluster: &Cluster| {
        let Cluster { redis, user, password, timeout, prefix, secret, gateways } = cluster.clone();
        (redis.value, user, password, timeout, prefix, secret, gateways)
    };
    parts(one) == parts(other)
}

/// Makes the connection and keeps it, as long as there is a handle.
#[derive(Debug)]
pub struct Driver {
    redis: Weak<Redis>,
    doubt: Arc<Notify>,
}

impl Driver {
    /// Runs until no configuration has this Redis any more.
    pub async fn run(self) {
        let Some(client) = self.redis.upgrade().and_then(|redis| redis.open()) else { return };
        let (mut pause, mut is_told) = (PAUSES.0, false);
        while let Some(redis) = self.redis.upgrade() {
            let known = redis.connection.load_full();
            let looked = match known {
                Some(connection) => redis.look(&mut MultiplexedConnection::clone(&connection)).await,
                None => redis.connect(&client).await,
            };
            let url = &redis.config.redis.value;
            let next = match looked {
                Ok(()) => {
                    if is_told {
                        notice(format_args!("{url} answers again"));
                    }
                    (pause, is_told) = (PAUSES.0, false);
                    LOOKED_AT_EVERY
                }
                Err(error) => {
                    redis.connection.store(None);
                    if !is_told {
                        notice(format_args!(
                            "{url} does not answer, what needs it is refused{}: {}",
                            if redis.fleet.is_counted() {
                                ", shared limits do what `on_outage` says"
                            } else {
                                ""
                            },
                            plain(&error)
                        ));
                    }
                    is_told = true;
                    let next = pause;
                    pause = (pause * 2).min(PAUSES.1);
                    next
                }
            };
            redis.has_tried.send_replace(true);
            let is_up = redis.connection.load().is_some();
            // Nobody's handle is held while nothing is done.
            drop(redis);
            if is_up {
                // Whoever doubts it is right to be heard at once.
                let _ = tokio::time::timeout(next, self.doubt.notified()).await;
            } else {
                tokio::time::sleep(next).await;
            }
        }
    }
}

/// What a server says may hold anything.
fn plain(error: &RedisError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

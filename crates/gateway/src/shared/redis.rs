//! A Redis that the fleet shares. One connection for all workers: the control plane makes it, keeps it alive and makes it anew; workers
//! send commands over it and wait for the answers, many at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Value, cmd};
use tokio::sync::{Notify, watch};

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
    /// Microseconds that answers took, in all.
    micros: AtomicU64,
}

/// How a Redis stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RedisReading {
    /// Whether there is a connection.
    pub is_up: bool,
    /// Commands that were sent, or could not be.
    pub commands: u64,
    /// Those without an answer.
    pub failures: u64,
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

impl Redis {
    /// The Redis of this configuration: as it was before where it is the same.
    pub fn of(config: &Cluster, before: Option<&Arc<Self>>) -> Arc<Self> {
        match before {
            Some(before) if is_same(&before.config, config) => Arc::clone(before),
            _ => Arc::new(Self {
                config: config.clone(),
                connection: Arc::default(),
                doubt: Arc::default(),
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
        // Those who look into their Redis see text.
        let key = format!("{}{kind}{}", self.config.prefix, URL_SAFE_NO_PAD.encode(name));
        let mut command = cmd("SET");
        command.arg(key).arg(1).arg("NX").arg("EX").arg(seconds);
        match self.ask(&command).await? {
            Value::Okay => Ok(true),
            Value::Nil => Ok(false),
            _ => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                Err(Unanswered)
            }
        }
    }

    async fn ask(&self, command: &redis::Cmd) -> Result<Value, Unanswered> {
        self.counts.commands.fetch_add(1, Ordering::Relaxed);
        let began = clock::refresh();
        let answer = match self.connection.load_full() {
            Some(connection) => MultiplexedConnection::clone(&connection).send_packed_command(command).await,
            None => Err(RedisError::from((redis::ErrorKind::Io, "there is no connection"))),
        };
        let took = clock::refresh().duration_since(began);
        self.counts.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        answer.and_then(Value::extract_error).map_err(|_| {
            self.counts.failures.fetch_add(1, Ordering::Relaxed);
            self.doubt.notify_one();
            Unanswered
        })
    }

    /// How it stands.
    pub fn reading(&self) -> RedisReading {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisReading {
            is_up: self.connection.load().is_some(),
            commands: count(&self.counts.commands),
            failures: count(&self.counts.failures),
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
            .set_response_timeout(Some(*self.config.timeout));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // A kernel takes connections for a program that answers nothing.
        ping(&mut connection).await?;
        self.connection.store(Some(Arc::new(connection)));
        Ok(())
    }
}

/// Whether two say the same, wherever it stands.
fn is_same(one: &Cluster, other: &Cluster) -> bool {
    let parts = |cluster: &Cluster| {
        let Cluster { redis, user, password, timeout, prefix } = cluster.clone();
        (redis.value, user, password, timeout, prefix)
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
                Some(connection) => ping(&mut MultiplexedConnection::clone(&connection)).await,
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
                            "{url} does not answer, what needs it is refused: {}",
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

async fn ping(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    connection.send_packed_command(&cmd("PING")).await.and_then(Value::extract_error).map(drop)
}

/// What a server says may hold anything.
fn plain(error: &RedisError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

//! The connection to one server of Redis, for all workers: the control plane makes it, keeps it alive and makes it anew; workers send
//! commands over it and wait for the answers, many at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use tokio::sync::{Notify, watch};

use super::dial::{Connection, Setup, unusable};
use crate::clock;
use crate::config::values::{Host, RedisServer, RedisServers};
use crate::notice::{NowAndThen, Told, notice};

/// The connection to one server, as long as there is one.
#[derive(Debug)]
pub(super) struct Link {
    setup: Arc<Setup>,
    place: Place,
    connection: ArcSwapOption<Connection>,
    /// The server that was connected to last.
    current: ArcSwapOption<RedisServer>,
    /// That a command has failed, so that the connection is looked at.
    doubt: Arc<Notify>,
    /// Whether one has failed since the connection was last found to be good.
    is_in_doubt: AtomicBool,
    /// Why one has.
    complaint: ArcSwapOption<String>,
    /// Whether the first attempt to connect has ended, in whatever way.
    has_tried: watch::Sender<bool>,
    /// The name under which gateways say there that they are there; none where the server has no name that is its own.
    presence: ArcSwapOption<String>,
    /// That something belongs elsewhere, or that the server fails: where there are others, it is looked which does what.
    moved: Arc<Notify>,
    made: Instant,
    /// In seconds from then on: until when it is kept without being in charge of anything.
    kept_until: AtomicU64,
}

/// Where the server is.
#[derive(Debug)]
pub(super) enum Place {
    /// It is this one.
    Server(RedisServer),
    /// It is the one that a sentinel calls the master of this name.
    Master(Vec<RedisServer>, String),
}

/// What a server of a cluster says of itself that others do without, or that does without others.
const LOST: &[u8] = b"cluster_state:fail";
/// How often a connection is tried that nobody doubts.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// How often sentinels are asked while their master answers.
const FOLLOWED_EVERY: Duration = Duration::from_secs(10);
/// Seconds for which a server is kept that others send us to and that has no slot yet.
const KEPT_FOR: u64 = 60;
/// The pause after the first failure to connect, and the longest: each is twice as long as the one before.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

impl Link {
    pub(super) fn new(setup: &Arc<Setup>, place: Place, moved: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            setup: Arc::clone(setup),
            place,
            connection: ArcSwapOption::empty(),
            current: ArcSwapOption::empty(),
            doubt: Arc::default(),
            is_in_doubt: AtomicBool::new(false),
            complaint: ArcSwapOption::empty(),
            has_tried: watch::Sender::new(false),
            presence: ArcSwapOption::empty(),
            moved: Arc::clone(moved),
            made: clock::refresh(),
            kept_until: AtomicU64::new(0),
        })
    }

    /// The server, where it is always the same.
    pub(super) fn server(&self) -> Option<&RedisServer> {
        match &self.place {
            Place::Server(server) => Some(server),
            Place::Master(..) => None,
        }
    }

    /// From now on gateways say under this name that they are there.
    pub(super) fn meet_at(&self, name: Option<String>) {
        self.presence.store(name.map(Arc::new));
    }

    /// Where they do.
    pub(super) fn meeting_place(&self) -> Option<Arc<String>> {
        self.presence.load_full()
    }

    /// Whether it is worth a question: nobody has waited in vain since it last answered.
    pub(super) fn is_in_use(&self) -> bool {
        !self.is_in_doubt.load(Ordering::Relaxed) && self.connection.load().is_some()
    }

    /// Another server has sent somebody here.
    pub(super) fn keep(&self, now: Instant) {
        self.kept_until.store(self.age(now) + KEPT_FOR, Ordering::Relaxed);
    }

    /// Whether one has of late.
    pub(super) fn is_kept(&self, now: Instant) -> bool {
        self.age(now) < self.kept_until.load(Ordering::Relaxed)
    }

    /// In seconds.
    fn age(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.made).as_secs()
    }

    /// Waits until the first attempt to connect has ended.
    pub(super) async fn tried(&self) {
        // The sender is `self`.
        let _ = self.has_tried.subscribe().wait_for(|has_tried| *has_tried).await;
    }

    /// Sends a command and waits for the answer, so long at most. Whoever gets none has the connection looked at, and all who can do
    /// without it do so meanwhile.
    pub(super) async fn ask(
        &self,
        command: &Cmd,
        is_asking: bool,
        limit: Duration,
    ) -> Result<Value, RedisError> {
        let counts = &self.setup.counts;
        counts.commands.fetch_add(1, Ordering::Relaxed);
        let began = clock::refresh();
        let answer = match self.connection.load_full() {
            Some(connection) => connection.ask(command, is_asking, limit).await,
            None => Err(unusable("there is no connection".to_owned())),
        };
        let took = clock::refresh().duration_since(began);
        counts.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        if let Err(error) = &answer
            && !is_direction(error)
        {
            counts.failed(error);
            if self.complaint.load().is_none() {
                self.complaint.store(Some(Arc::new(plain(error))));
            }
            self.is_in_doubt.store(true, Ordering::Relaxed);
            self.doubt.notify_one();
            self.moved.notify_one();
        }
        answer
    }

    /// Connects; where there are sentinels to the server that most of them call the master, or else to another that some do.
    async fn connect(&self) -> Result<(), RedisError> {
        match &self.place {
            Place::Server(server) => self.connect_to(server).await,
            Place::Master(sentinels, name) => {
                let mut last = Ok(());
                for (master, _) in self.setup.masters(sentinels, name).await? {
                    last = self.connect_to(&master).await;
                    if last.is_ok() {
                        break;
                    }
                }
                last
            }
        }
    }

    async fn connect_to(&self, server: &RedisServer) -> Result<(), RedisError> {
        let connection = self.setup.connect(server).await?;
        // A kernel takes connections for a program that answers nothing.
        self.look(&connection).await?;
        self.connection.store(Some(Arc::new(connection)));
        self.current.store(Some(Arc::new(server.clone())));
        self.setup.counts.connections.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a connection is good. Where gateways count together it must take what is written: a full Redis, or one that only
    /// copies another, is of no use. Nor is a master that is none any more, or a server that has lost its cluster.
    async fn look(&self, connection: &Connection) -> Result<(), RedisError> {
        let place = self.presence.load_full();
        let command = match place.and_then(|name| self.setup.fleet.presence(&name)) {
            Some(command) => command,
            None => match &self.setup.config.redis.value.servers {
                RedisServers::One(_) => cmd("PING"),
                RedisServers::Sentinels(..) => cmd("ROLE"),
                RedisServers::Cluster(_) => cmd("CLUSTER").arg("INFO").take(),
            },
        };
        match connection.ask(&command, false, *self.setup.config.timeout).await {
            Ok(Value::Int(gateways)) => self.setup.fleet.heard(gateways.unsigned_abs(), clock::refresh()),
            Ok(Value::Array(role)) if role.first() != Some(&Value::BulkString(b"master".to_vec())) => {
                return Err(unusable("it is no master".to_owned()));
            }
            Ok(Value::BulkString(info)) if info.windows(LOST.len()).any(|words| words == LOST) => {
                return Err(unusable("it has lost its cluster".to_owned()));
            }
            Ok(_) => {}
            // It is there, and knows that others have taken over.
            Err(error) if error.redirect_node().is_some() => self.moved.notify_one(),
            Err(error) => return Err(error),
        }
        self.is_in_doubt.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Asks sentinels now and then who the master is, as long as there is a handle: one that they do not see any more goes on and takes what is
    /// written, while others ask the next.
    pub(super) async fn follow(this: Weak<Self>) {
        loop {
            tokio::time::sleep(FOLLOWED_EVERY).await;
            let Some(link) = this.upgrade() else { return };
            let Place::Master(sentinels, name) = &link.place else { return };
            let (Some(current), Ok(masters)) =
                (link.current.load_full(), link.setup.masters(sentinels, name).await)
            else {
                continue;
            };
            let votes = masters.iter().find(|(master, _)| master == &*current).map_or(0, |(_, votes)| *votes);
            // What is in use is left only for one that can be used.
            if let Some((master, _)) =
                masters.iter().find(|(_, most)| *most > votes && most * 2 > sentinels.len())
                && link.connect_to(master).await.is_ok()
            {
                notice(format_args!("{link} is {master} from now on, and not {current}"));
            }
        }
    }

    /// Makes the connection and keeps it, as long as there is a handle.
    pub(super) async fn drive(this: Weak<Self>) {
        let (mut pause, mut told) = (PAUSES.0, Told::default());
        let complaints = NowAndThen::since(clock::refresh());
        while let Some(link) = this.upgrade() {
            let known = link.connection.load_full();
            let complaint = link.complaint.swap(None).filter(|_| known.is_some());
            let is_doubted = complaint.is_some();
            let looked = match &known {
                Some(connection) => link.look(connection).await,
                None => link.connect().await,
            };
            let next = match looked {
                Ok(()) => {
                    if told.is_news(false, clock::refresh()) {
                        notice(format_args!("{link} answers again"));
                    }
                    // It takes what is written, and yet not what it was asked, or not in time.
                    if let Some(complaint) = complaint
                        && complaints.count(clock::refresh()).is_some()
                    {
                        notice(format_args!("{link} answers, but not all that it is asked: {complaint}"));
                    }
                    pause = PAUSES.0;
                    LOOKED_AT_EVERY
                }
                Err(error) => {
                    // Unless there is another since.
                    link.connection.compare_and_swap(&known, None);
                    // Another may do what it did, also where nobody asks for that just now.
                    link.moved.notify_one();
                    if told.is_news(true, clock::refresh()) {
                        link.setup.tell_loss(&link, &error);
                    }
                    longer(&mut pause)
                }
            };
            link.has_tried.send_replace(true);
            let (is_up, doubt) = (link.connection.load().is_some(), Arc::clone(&link.doubt));
            // Nobody's handle is held while nothing is done.
            drop(link);
            if is_up {
                // Whoever doubts it is right to be heard at once; but not without end, where it is good and yet not for what it is asked.
                let heard = tokio::time::timeout(next, doubt.notified()).await;
                if heard.is_ok() && is_doubted {
                    tokio::time::sleep(PAUSES.0).await;
                }
            } else {
                tokio::time::sleep(next).await;
            }
        }
    }
}

impl Setup {
    /// Says that a server is gone, or what it is.
    pub(super) fn tell_loss(&self, who: &dyn fmt::Display, error: &RedisError) {
        let and = if self.fleet.is_counted() { ", shared limits do what `on_outage` says" } else { "" };
        notice(format_args!("{who} does not answer, what needs it is refused{and}: {}", plain(error)));
    }
}

/// The pause after a failure; the next will be twice as long.
pub(super) fn longer(pause: &mut Duration) -> Duration {
    let now = *pause;
    *pause = (now * 2).min(PAUSES.1);
    now
}

impl fmt::Display for Link {
    /// As the operator knows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Server(server) if matches!(server.host, Host::Unix(_)) => server.fmt(f),
            Place::Server(server) => {
                write!(
                    f,
                    "{}://{server}",
                    if self.setup.config.redis.value.is_tls { "rediss" } else { "redis" }
                )
            }
            Place::Master(..) => self.setup.config.redis.value.fmt(f),
        }
    }
}

/// Whether a server has said no more than where to ask, or how. Then nothing was done there.
fn is_direction(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, Moved, NoScript, TryAgain};
    matches!(error.kind(), ErrorKind::Server(Ask | Moved | NoScript | TryAgain))
}

/// What a server says may hold anything.
fn plain(error: &RedisError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

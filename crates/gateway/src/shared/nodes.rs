//! The servers of a Redis Cluster: each has a connection of its own, which is up or not whatever the others are, and what is asked goes to the
//! one that its slot belongs to.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use tokio::sync::{Notify, watch};

use super::dial::{Setup, more_telling, server_at, unusable};
use super::link::{Link, PAUSES, Place, longer};
use super::slot::{SLOTS, Slot, slot_of, tag};
use crate::clock;
use crate::config::values::RedisServer;
use crate::notice::{Told, notice};

/// The servers of a cluster.
#[derive(Debug)]
pub(super) struct Nodes {
    setup: Arc<Setup>,
    /// Those that the configuration names.
    named: Vec<RedisServer>,
    map: ArcSwap<Map>,
    /// How often the map was made.
    made: watch::Sender<u64>,
    /// That the map should be made anew.
    moved: Arc<Notify>,
    /// Servers that others have sent us to and that the map lacks.
    wanted: Mutex<Vec<RedisServer>>,
    /// Whether the first attempt to know the cluster has ended, in whatever way.
    has_tried: watch::Sender<bool>,
}

/// Who does what.
#[derive(Debug, Default)]
struct Map {
    links: Vec<Arc<Link>>,
    /// Those of them, the first, that have slots. The others are those that slots are moving to.
    in_charge: usize,
    /// Of each slot the place of its owner among them.
    owners: Box<[u16]>,
}

/// Slots from one to another, and whose they are.
type Range = (Slot, Slot, RedisServer);

/// How often the map is made anew without need, and while some server fails.
const MADE_EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// It is not made more often than that.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// How often a question is sent on.
const MOST_HOPS: usize = 4;
/// Servers of a cluster: it is not made for more.
const MOST_NODES: usize = 1000;
/// Names that are tried at most until one belongs to a server.
const MOST_NAMES: u32 = 1 << 14;
/// A slot that nobody has.
const NOBODY: u16 = u16::MAX;

impl Nodes {
    pub(super) fn new(setup: &Arc<Setup>, named: &[RedisServer]) -> Arc<Self> {
        Arc::new(Self {
            setup: Arc::clone(setup),
            named: named.to_vec(),
            map: ArcSwap::default(),
            made: watch::Sender::new(0),
            moved: Arc::default(),
            wanted: Mutex::default(),
            has_tried: watch::Sender::new(false),
        })
    }

    /// Whether every slot has a server that is worth a question.
    pub(super) fn are_in_use(&self) -> bool {
        let map = self.map.load();
        !map.owners.is_empty()
            && !map.owners.contains(&NOBODY)
            && map.in_charge().iter().all(|link| link.is_in_use())
    }

    /// Whether this slot has one.
    pub(super) fn is_in_use(&self, slot: Slot) -> bool {
        self.map.load().owner(slot).is_some_and(|link| link.is_in_use())
    }

    /// Waits until the first attempt to know and reach them has ended.
    pub(super) async fn tried(&self) {
        // The sender is `self`.
        let _ = self.has_tried.subscribe().wait_for(|has_tried| *has_tried).await;
    }

    /// Asks the server that has this slot, or the one that it sends us to, and waits so long at most for an answer. Only what was not done is
    /// sent again. Of what is asked for some may have moved already, and some not: then that is the answer.
    pub(super) async fn ask(&self, slot: Slot, command: &Cmd, limit: Duration) -> Result<Value, RedisError> {
        let began = clock::refresh();
        let left = || limit.saturating_sub(clock::refresh().duration_since(began));
        let Some(mut link) = self.map.load().owner(slot).cloned() else {
            self.moved.notify_one();
            return Err(self.failed(unusable("no server has this slot".to_owned())));
        };
        let mut is_asking = false;
        for _ in 0..MOST_HOPS {
            let error = match link.ask(command, is_asking, left()).await {
                Err(error) if error.redirect_node().is_some() => error,
                answer => return answer,
            };
            is_asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
            if !is_asking {
                self.moved.notify_one();
            }
            let next = error.redirect_node().and_then(|(place, _)| directed(place, link.server()?));
            let found = match next {
                Some(server) => self.link_to(&server, left()).await,
                None => None,
            };
            // As everywhere, nobody waits for one that others have waited for in vain.
            link = match found.filter(|link| link.is_in_use() && !left().is_zero()) {
                Some(link) => link,
                None => return Err(self.failed(error)),
            };
        }
        Err(self.failed(unusable("its servers send us in circles".to_owned())))
    }

    /// Counts what found no answer.
    fn failed(&self, error: RedisError) -> RedisError {
        self.setup.counts.failed(&error);
        error
    }

    /// The connection to a server that another has named; one that is new to us is waited for so long at most.
    async fn link_to(&self, server: &RedisServer, limit: Duration) -> Option<Arc<Link>> {
        let mut made = self.made.subscribe();
        let found = async {
            loop {
                let known = self.map.load().find(server).cloned();
                if let Some(link) = known {
                    link.keep(clock::now());
                    link.tried().await;
                    return Some(link);
                }
                self.want(server);
                made.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, found).await.ok()?
    }

    /// Has a server connected that the map lacks.
    fn want(&self, server: &RedisServer) {
        // Nothing in there panics half-way.
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.len() < MOST_NODES && !wanted.contains(server) {
            wanted.push(server.clone());
        }
        drop(wanted);
        self.moved.notify_one();
    }

    /// Makes the map and keeps it true, as long as there is a handle.
    pub(super) async fn drive(this: Weak<Self>) {
        let (mut pause, mut told) = (PAUSES.0, Told::default());
        while let Some(nodes) = this.upgrade() {
            let asked = nodes.ranges().await;
            let (is_lost, now) = (asked.is_err(), clock::refresh());
            let (is_news, redis) = (told.is_news(is_lost, now), &nodes.setup.config.redis.value);
            let next = match asked {
                Ok(ranges) => {
                    nodes.remake(&ranges, now);
                    if is_news {
                        notice(format_args!("{redis} answers again"));
                    }
                    pause = PAUSES.0;
                    if nodes.are_in_use() { MADE_EVERY.0 } else { MADE_EVERY.1 }
                }
                Err(error) => {
                    if is_news {
                        nodes.setup.tell_loss(redis, &error);
                    }
                    longer(&mut pause)
                }
            };
            if !*nodes.has_tried.borrow() {
                for link in &nodes.map.load_full().links {
                    link.tried().await;
                }
                nodes.has_tried.send_replace(true);
            }
            let moved = Arc::clone(&nodes.moved);
            // Nobody's handle is held while nothing is done.
            drop(nodes);
            tokio::time::sleep(LEAST_PAUSE).await;
            if is_lost {
                tokio::time::sleep(next).await;
            } else {
                let _ = tokio::time::timeout(next, moved.notified()).await;
            }
        }
    }

    /// Who has which slots, by the word of the first that answers: those that are connected, one by one, or else those that are named, at once.
    async fn ranges(&self) -> Result<Vec<Range>, RedisError> {
        let mut command = cmd("CLUSTER");
        command.arg("SLOTS");
        let limit = *self.setup.config.timeout;
        let mut why = None;
        for link in self.map.load_full().links.iter().filter(|link| link.is_in_use()) {
            let Some(server) = link.server() else { continue };
            match link.ask(&command, false, limit).await.and_then(|answer| read(&answer, server)) {
                Ok(ranges) => return Ok(ranges),
                Err(error) => why = Some(error),
            }
        }
        let named = self.named.iter().map(async |server| {
            let answer = self.setup.connect(server).await?.ask(&command, false, limit).await?;
            read(&answer, server)
        });
        let mut asked: FuturesUnordered<_> = named.collect();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(ranges) => return Ok(ranges),
                Err(error) => why = Some(more_telling(why, error)),
            }
        }
        Err(why.unwrap_or_else(|| unusable("no server is named".to_owned())))
    }

    /// Makes the map; servers that were in it keep their connections.
    fn remake(&self, ranges: &[Range], now: Instant) {
        let before = self.map.load_full();
        let mut map = Map { owners: vec![NOBODY; SLOTS].into(), ..Map::default() };
        for (first, last, server) in ranges {
            if let Some(place) = self.place(&mut map, &before, server) {
                map.owners[usize::from(*first)..=usize::from(*last)].fill(place);
            }
        }
        map.in_charge = map.links.len();
        let wanted = std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        for server in &wanted {
            if let Some(place) = self.place(&mut map, &before, server) {
                map.links[usize::from(place)].keep(now);
            }
        }
        let kept = before.links.iter().filter(|link| link.is_kept(now)).filter_map(|link| link.server());
        for server in kept {
            self.place(&mut map, &before, server);
        }
        for (place, link) in (0_u16..).zip(&map.links) {
            if link.meeting_place().is_none_or(|name| map.owners[usize::from(slot_of(&name, &[]))] != place) {
                link.meet_at(self.meeting_place(&map, place));
            }
        }
        for link in missing(&map.links, &before.links) {
            tokio::spawn(Link::drive(Arc::downgrade(link)));
        }
        for link in missing(before.in_charge(), map.in_charge()) {
            notice(format_args!("{link} has no slots any more"));
        }
        self.map.store(Arc::new(map));
        self.made.send_modify(|made| *made += 1);
    }

    /// The place of a server in a map, new where it was not in the one before; nothing where there are too many.
    fn place(&self, map: &mut Map, before: &Map, server: &RedisServer) -> Option<u16> {
        if let Some(place) = map.links.iter().position(|link| link.server() == Some(server)) {
            return u16::try_from(place).ok();
        }
        if map.links.len() == MOST_NODES {
            return None;
        }
        map.links.push(
            before
                .find(server)
                .cloned()
                .unwrap_or_else(|| Link::new(&self.setup, Place::Server(server.clone()), &self.moved)),
        );
        u16::try_from(map.links.len() - 1).ok()
    }

    /// The first name that belongs to a server. All gateways find the same; none where it has no slots, or hardly any.
    fn meeting_place(&self, map: &Map, place: u16) -> Option<String> {
        if !map.owners.contains(&place) {
            return None;
        }
        let prefix = &self.setup.config.prefix;
        // Where all names have one slot, the first is as good as any.
        let names = if tag(prefix).is_some() { 1 } else { MOST_NAMES };
        let mut names = (0..names).map(|number| format!("gateways:{number}"));
        let name =
            names.find(|name| map.owners[usize::from(slot_of(prefix, &[name.as_bytes()]))] == place)?;
        Some(format!("{prefix}{name}"))
    }
}

impl Map {
    fn owner(&self, slot: Slot) -> Option<&Arc<Link>> {
        self.links.get(usize::from(*self.owners.get(usize::from(slot))?))
    }

    fn find(&self, server: &RedisServer) -> Option<&Arc<Link>> {
        self.links.iter().find(|link| link.server() == Some(server))
    }

    /// Those that have slots.
    fn in_charge(&self) -> &[Arc<Link>] {
        &self.links[..self.in_charge]
    }
}

/// Connections that are not among others.
fn missing<'l>(links: &'l [Arc<Link>], others: &'l [Arc<Link>]) -> impl Iterator<Item = &'l Arc<Link>> {
    links.iter().filter(|link| !others.iter().any(|other| Arc::ptr_eq(other, link)))
}

/// The server that another one sends us to: one without a host is at the same.
fn directed(place: &str, by: &RedisServer) -> Option<RedisServer> {
    let (host, port) = place.rsplit_once(':')?;
    match host {
        "" => Some(RedisServer { host: by.host.clone(), port: port.parse().ok()? }),
        _ => RedisServer::at(host, port.parse().ok()?),
    }
}

/// Reads the answer to `CLUSTER SLOTS` of this server.
fn read(answer: &Value, by: &RedisServer) -> Result<Vec<Range>, RedisError> {
    let Value::Array(items) = answer else { return Err(unusable("it says nothing of slots".to_owned())) };
    let ranges: Vec<Range> = items.iter().filter_map(|item| range(item, by)).collect();
    if ranges.is_empty() {
        return Err(unusable("this cluster has no slots".to_owned()));
    }
    Ok(ranges)
}

/// Of the servers that have a range the first is the one that takes what is written.
fn range(item: &Value, by: &RedisServer) -> Option<Range> {
    let Value::Array(parts) = item else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &**parts else { return None };
    let [host, Value::Int(port), ..] = &**master else { return None };
    let port = u16::try_from(*port).ok()?;
    let server = match host {
        Value::BulkString(host) if !host.is_empty() => server_at(host, port.to_string().as_bytes())?,
        // It does not know by which name we do.
        Value::BulkString(_) | Value::Nil if port != 0 => RedisServer { host: by.host.clone(), port },
        _ => return None,
    };
    let slot = |number: i64| Slot::try_from(number).ok().filter(|slot| usize::from(*slot) < SLOTS);
    let (first, last) = (slot(*first)?, slot(*last)?);
    (first <= last).then_some((first, last, server))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::load_text;
    use crate::shared::fleet::Fleet;

    fn nodes() -> Arc<Nodes> {
        let text =
            "cluster: 'redis+cluster://127.0.0.1:1'\nroutes: [{ match: /x, respond: 200, access: public }]\n";
        let config = load_text(text).unwrap().0.cluster.unwrap();
        let fleet = Fleet::new(&config, None);
        Nodes::new(&Arc::new(Setup { config, tls: None, fleet, counts: Arc::default() }), &[])
    }

    #[tokio::test]
    async fn a_server_that_others_send_us_to_is_kept_for_a_minute_without_a_slot() {
        let (nodes, now) = (nodes(), Instant::now());
        let [one, other] = [1, 2].map(|port| RedisServer::at("127.0.0.1", port).unwrap());
        let known = |server: &RedisServer| nodes.map.load().find(server).cloned();
        let remake = |owner: &RedisServer, seconds| {
            nodes.remake(&[(0, 16_383, owner.clone())], now + Duration::from_secs(seconds));
        };
        remake(&one, 0);
        nodes.want(&other);
        remake(&one, 0);
        let link = known(&other).unwrap();
        link.keep(now + Duration::from_secs(20));
        remake(&one, 79);
        assert!(Arc::ptr_eq(&link, &known(&other).unwrap()));
        assert_eq!(nodes.map.load().in_charge().len(), 1);
        remake(&one, 81);
        assert!(known(&other).is_none());
        // One that was in charge is not kept, unless somebody is still sent there.
        remake(&other, 82);
        assert!(known(&one).is_none());
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn master(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("an id")])
    }

    #[test]
    fn slots_are_read_as_they_are_told() {
        let by = RedisServer::at("10.0.0.9", 7).unwrap();
        let of = |first, last, master| Value::Array(vec![Value::Int(first), Value::Int(last), master]);
        let answer = Value::Array(vec![
            of(0, 5460, master(text("10.0.0.1"), 7000)),
            of(5461, 5461, master(text(""), 7001)),
            of(5462, 5462, master(Value::Nil, 7002)),
            of(5463, 16_383, master(text("::1"), 7003)),
            // What makes no sense is left out.
            of(0, 16_384, master(text("10.0.0.1"), 7000)),
            of(9, 8, master(text("10.0.0.1"), 7000)),
            of(-1, 8, master(text("10.0.0.1"), 7000)),
            of(1, 8, master(text("?"), 7000)),
            of(1, 8, master(text("10.0.0.1"), 0)),
            of(1, 8, master(text("10.0.0.1"), 70_000)),
            of(1, 8, Value::Nil),
            Value::Int(1),
        ]);
        let ranges = read(&answer, &by).unwrap();
        let shown: Vec<_> =
            ranges.iter().map(|(first, last, server)| format!("{first}-{last} {server}")).collect();
        let expected = [
            "0-5460 10.0.0.1:7000",
            "5461-5461 10.0.0.9:7001",
            "5462-5462 10.0.0.9:7002",
            "5463-16383 [::1]:7003",
        ];
        assert_eq!(shown, expected);
        for wrong in [Value::Nil, Value::Array(Vec::new()), text("no")] {
            assert!(read(&wrong, &by).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn directions_are_followed_where_they_make_sense() {
        let by = RedisServer::at("10.0.0.9", 7).unwrap();
        for (place, server) in
            [("10.0.0.1:7000", "10.0.0.1:7000"), (":7000", "10.0.0.9:7000"), ("::1:7000", "[::1]:7000")]
        {
            assert_eq!(directed(place, &by).unwrap().to_string(), server);
        }
        for wrong in ["", "10.0.0.1", "?:7000", "10.0.0.1:x"] {
            assert_eq!(directed(wrong, &by), None, "{wrong}");
        }
    }
}
